{{/* What Pod Security "restricted" asks for, and more: nothing is written but to volumes. */}}

{{- define "cortex.podSecurity" -}}
runAsNonRoot: true
{{- include "cortex.ids" .Values.podSecurity }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* User and groups; what is null is the cluster's to say. */}}
{{- define "cortex.ids" -}}
{{- range $key := list "runAsUser" "runAsGroup" "fsGroup" }}
{{- with index $ $key }}
{{ $key }}: {{ int . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "cortex.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What is the same in every pod of ours. */}}
{{- define "cortex.podOfAll" -}}
automountServiceAccountToken: false
enableServiceLinks: false  # HUB_ORDER_PORT=tcp://… and the like would be taken for settings
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext: {{ include "cortex.podSecurity" . | nindent 2 }}
{{- end }}

{{/* Where a pod may run: of `global`, or of a service's values, which have global's where they say nothing. */}}
{{- define "cortex.placement" -}}
{{- $said := dict }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with index $ $key }}{{ $_ := set $said $key . }}{{ end }}
{{- end }}
{{- with $said }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* Whom TLS trusts, as a source of the folder of secrets. Empty: the public authorities. */}}
{{- define "cortex.trustSource" -}}
{{- with .Values.trust }}
{{- if .existingSecret -}}
- secret: {name: {{ .existingSecret }}, items: [{key: {{ .key | quote }}, path: trust.pem}]}
{{- else if .existingConfigMap -}}
- configMap: {name: {{ .existingConfigMap }}, items: [{key: {{ .key | quote }}, path: trust.pem}]}
{{- end }}
{{- end }}
{{- end }}

{{/* The variables that name it, a YAML map. The database's driver does not know the first. */}}
{{- define "cortex.trustEnvironment" -}}
{{- if include "cortex.trustSource" . }}
SSL_CERT_FILE: /etc/cortex/secrets/trust.pem
PGSSLROOTCERT: /etc/cortex/secrets/trust.pem
{{- end }}
{{- end }}

{{/* Over zones and nodes as far as that goes. (dict "root" $ "component" "order") */}}
{{- define "cortex.spread" -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{ include "cortex.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{- define "cortex.probe" -}}
{{ toYaml .timing }}
httpGet: {path: {{ .path }}, port: http}
{{- end }}
