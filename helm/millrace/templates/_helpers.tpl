{{/*
The release's name in all object names. At most 40 characters, so that the longest name made of it, and the labels that
Kubernetes makes of that, stay below 63; a longer one ends in a hash, so that two long releases never meet.
*/}}
{{- define "millrace.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) -}}
{{- end -}}
{{- if gt (len $name) 40 -}}
{{- $name = printf "%s-%s" (trunc 33 $name | trimSuffix "-") (sha256sum $name | trunc 6) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "millrace.clusterName" -}}
{{- default (include "millrace.fullname" .) .Values.clusterName -}}
{{- end -}}

{{/* Name of a broker set, of its StatefulSet and of what the broker is called. Argument: (list $ index). */}}
{{- define "millrace.brokerSet" -}}
{{- printf "%s-broker-%d" (include "millrace.fullname" (index . 0)) (int (index . 1)) -}}
{{- end -}}

{{/* Full name of a Service; complete, so that a pod's search domains are not tried first. Argument: (list $ name). */}}
{{- define "millrace.host" -}}
{{- $root := index . 0 -}}
{{- printf "%s.%s.svc.%s" (index . 1) $root.Release.Namespace $root.Values.clusterDomain -}}
{{- end -}}

{{/* Every nameserver by the name of its pod: brokers register with each, proxies listen to each. */}}
{{- define "millrace.nameservers" -}}
{{- $service := printf "%s-nameserver" (include "millrace.fullname" .) -}}
{{- $addresses := list -}}
{{- range $i := until (int .Values.nameserver.replicas) -}}
{{- $addresses = append $addresses (printf "%s-%d.%s:9876" $service $i (include "millrace.host" (list $ $service))) -}}
{{- end -}}
{{- toYaml $addresses -}}
{{- end -}}

{{/* What a selector holds. It never changes in the life of a release. Argument: (list $ component). */}}
{{- define "millrace.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object. Argument: (list $ component). */}}
{{- define "millrace.labels" -}}
{{- $root := index . 0 -}}
{{ include "millrace.selector" . }}
app.kubernetes.io/part-of: millrace
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Everything below `metadata:` but the name. Argument: (list $ component). */}}
{{- define "millrace.metadata" -}}
namespace: {{ (index . 0).Release.Namespace }}
labels:
  {{- include "millrace.labels" . | nindent 2 }}
{{- with (index . 0).Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The image of a part. Argument: (list $ part's values). */}}
{{- define "millrace.image" -}}
{{- $root := index . 0 -}}
{{- $image := (index . 1).image -}}
{{- $global := default dict $root.Values.global -}}
{{- $registry := default $root.Values.image.registry (get $global "imageRegistry") -}}
{{- $name := $image.repository -}}
{{- if $registry -}}{{- $name = printf "%s/%s" $registry $name -}}{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (coalesce $image.tag $root.Values.image.tag $root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "millrace.pullSecrets" -}}
{{- $global := default dict .Values.global -}}
{{- with concat (default list (get $global "imagePullSecrets")) .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The Secret with users and the secret of the services; empty: nobody has to sign. */}}
{{- define "millrace.authSecret" -}}
{{- if .Values.auth.existingSecret -}}
{{- .Values.auth.existingSecret -}}
{{- else if .Values.auth.users -}}
{{- include "millrace.fullname" . }}-auth
{{- end -}}
{{- end -}}

{{- define "millrace.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "millrace.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}
