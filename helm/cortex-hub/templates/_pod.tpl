{{/* What Pod Security "restricted" asks for, and more: nothing is written but to volumes. */}}

{{- define "cortex.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
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
