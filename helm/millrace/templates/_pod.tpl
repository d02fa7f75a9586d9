{{/*
The three services are the same kind of pod. Argument of all of these: (dict "root" $ "component" "broker" "part"
.Values.broker ...).
*/}}

{{/* Labels and annotations of a pod. "config": the text of its configuration, whose change restarts it. */}}
{{- define "millrace.podMetadata" -}}
{{- $root := .root -}}
labels:
  {{- include "millrace.selector" (list $root .component) | nindent 2 }}
  app.kubernetes.io/part-of: millrace
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .part.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ .config | sha256sum }}
  {{- if $root.Values.metrics.scrapeAnnotations }}
  prometheus.io/scrape: "true"
  prometheus.io/port: "5557"
  prometheus.io/path: /metrics
  {{- end }}
  {{- with .part.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Everything of a pod's spec but containers and volumes. "spread": labels of the pods that keep apart. */}}
{{- define "millrace.podSpec" -}}
{{- $root := .root -}}
{{- $part := .part -}}
serviceAccountName: {{ include "millrace.serviceAccount" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "millrace.pullSecrets" $root }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
terminationGracePeriodSeconds: {{ $part.terminationGracePeriodSeconds }}
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if $part.topologySpreadConstraints }}
  {{- toYaml $part.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "millrace.selector" (list $root $.component) | nindent 8 }}
    {{- with $.spreadBy }}
    matchLabelKeys: {{ toJson . }}
    {{- end }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* The one container. "ports": name to number; "env": list; "mounts": list. */}}
{{- define "millrace.container" -}}
{{- $root := .root -}}
{{- $part := .part -}}
name: {{ .component }}
image: {{ include "millrace.image" (list $root $part) }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
args:
  - --config=/etc/millrace/config/{{ .component }}.yaml
  {{- with $part.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with concat (default list .env) $part.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  {{- range $name, $port := .ports }}
  - name: {{ $name }}
    containerPort: {{ $port }}
    protocol: TCP
  {{- end }}
securityContext:
  {{- toYaml $root.Values.containerSecurityContext | nindent 2 }}
resources:
  {{- toYaml $part.resources | nindent 2 }}
# Nothing answers before a start is over, so a long recovery is not taken for a hang.
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: {{ $part.startup.periodSeconds }}
  failureThreshold: {{ $part.startup.failureThreshold }}
  timeoutSeconds: 2
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
  failureThreshold: 3
  timeoutSeconds: 2
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  failureThreshold: 6
  timeoutSeconds: 5
volumeMounts:
  - name: config
    mountPath: /etc/millrace/config
    readOnly: true
  {{- if include "millrace.authSecret" $root }}
  - name: auth
    mountPath: /etc/millrace/auth
    readOnly: true
  {{- end }}
  {{- with concat (default list .mounts) $part.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Volumes that every pod has. Whole folders are mounted: what changes in them reaches a running pod. "secrets": keys
of the Secret that this part may see. */}}
{{- define "millrace.volumes" -}}
- name: config
  configMap:
    name: {{ include "millrace.fullname" .root }}-{{ .component }}
{{- with include "millrace.authSecret" .root }}
- name: auth
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      {{- range $.secrets }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- with .part.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A configuration file: what the chart sets, and over it what `config` of the part says. Argument: (list own part). */}}
{{- define "millrace.configFile" -}}
{{- $own := index . 0 -}}
{{- toYaml (merge (dict) (index . 1).config $own) -}}
{{- end -}}
