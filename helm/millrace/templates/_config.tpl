{{/* The configuration files of the three services. Keys and their meaning: docs/configuration.md. */}}

{{- define "millrace.commonConfig" -}}
log.level: {{ .Values.logging.level }}
log.format: {{ .Values.logging.format }}
http.listen: {{ printf "%s:5557" .Values.listenHost | quote }}
{{- if include "millrace.authSecret" . }}
cluster.secret-file: /etc/millrace/auth/cluster-secret
{{- end }}
{{- end -}}

{{- define "millrace.nameserverConfig" -}}
{{- $own := include "millrace.commonConfig" . | fromYaml -}}
{{- $sets := list -}}
{{- range $i := until (int .Values.broker.sets) -}}
{{- $sets = append $sets (include "millrace.brokerSet" (list $ $i)) -}}
{{- end -}}
{{- $_ := set $own "nameserver.listen" (printf "%s:9876" .Values.listenHost) -}}
{{- $_ := set $own "nameserver.expect" $sets -}}
{{- include "millrace.configFile" (list $own .Values.nameserver) -}}
{{- end -}}

{{- define "millrace.brokerConfig" -}}
{{- $own := include "millrace.commonConfig" . | fromYaml -}}
{{- $_ := set $own "broker.listen" (printf "%s:10911" .Values.listenHost) -}}
{{- $_ := set $own "broker.data" "/var/lib/millrace/broker" -}}
{{- $_ := set $own "cluster.name" (include "millrace.clusterName" .) -}}
{{- $_ := set $own "metadata.home" (include "millrace.brokerSet" (list . 0)) -}}
{{- $_ := set $own "nameserver.addresses" (include "millrace.nameservers" . | fromYamlArray) -}}
{{- $_ := set $own "auto-create-topics" .Values.autoCreateTopics -}}
{{- if not .Values.broker.persistence.enabled -}}
{{- $_ := set $own "retention.size" (include "millrace.emptyDirLog" .) -}}
{{- end -}}
{{- include "millrace.configFile" (list $own .Values.broker) -}}
{{- end -}}

{{/* Six tenths of an emptyDir: its volume looks as large as the node's disk, and a pod that outgrows it is evicted. */}}
{{- define "millrace.emptyDirLog" -}}
{{- $size := .Values.broker.persistence.size -}}
{{- $mebibytes := dict "M" 0.95 "Mi" 1.0 "G" 953.0 "Gi" 1024.0 "T" 953674.0 "Ti" 1048576.0 "P" 953674316.0
    "Pi" 1073741824.0 -}}
{{- mulf (regexFind "^[0-9.]+" $size) (get $mebibytes (regexFind "[MGTP]i?$" $size)) 0.6 | int64 }}MiB
{{- end -}}

{{- define "millrace.proxyConfig" -}}
{{- $own := include "millrace.commonConfig" . | fromYaml -}}
{{- $_ := set $own "proxy.listen" (printf "%s:8081" .Values.listenHost) -}}
{{- $_ := set $own "admin.listen" (printf "%s:8083" .Values.listenHost) -}}
{{- $_ := set $own "nameserver.addresses" (include "millrace.nameservers" . | fromYamlArray) -}}
{{- $_ := set $own "proxy.stop-delay" "5s" -}}
{{- $_ := set $own "proxy.auto-create-topics" .Values.autoCreateTopics -}}
{{- if include "millrace.authSecret" . -}}
{{- $_ := set $own "auth.users-file" "/etc/millrace/auth/users.yaml" -}}
{{- end -}}
{{- if eq .Values.tls.mode "self-signed" -}}
{{- $_ := set $own "tls.names" (include "millrace.tlsNames" . | fromYamlArray) -}}
{{- else -}}
{{- $_ := set $own "tls.certificate" "/etc/millrace/tls/tls.crt" -}}
{{- $_ := set $own "tls.key" "/etc/millrace/tls/tls.key" -}}
{{- end -}}
{{- include "millrace.configFile" (list $own .Values.proxy) -}}
{{- end -}}

{{/* Names that clients inside the cluster dial, and those of tls.names. */}}
{{- define "millrace.tlsNames" -}}
{{- $service := printf "%s-proxy" (include "millrace.fullname" .) -}}
{{- $names := list $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace) -}}
{{- $names = append $names (include "millrace.host" (list . $service)) -}}
{{- toYaml (concat $names .Values.tls.names | uniq) -}}
{{- end -}}

{{- define "millrace.tlsSecret" -}}
{{- ternary (printf "%s-proxy-tls" (include "millrace.fullname" .)) .Values.tls.existingSecret (eq .Values.tls.mode "cert-manager") -}}
{{- end -}}
