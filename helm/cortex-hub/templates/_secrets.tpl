{{/*
The Secrets that are the hub's to make, as {"wanted": [{"name", "kind", "component", …}]}: for secrets.yaml, where Helm
makes them, and for secrets-job.yaml, where a Job does.
*/}}
{{- define "cortex.wantedSecrets" -}}
{{- $wanted := list }}
{{- if not .Values.secrets.existingInternalKey }}
{{- $wanted = append $wanted (dict "name" (include "cortex.secret.internal" .) "kind" "internal-key" "component" "gateway") }}
{{- end }}
{{- if not .Values.secrets.existingPepper }}
{{- $wanted = append $wanted (dict "name" (include "cortex.secret.pepper" .) "kind" "pepper" "component" "gateway") }}
{{- end }}
{{- if and .Values.auth.token.enabled (not .Values.secrets.existingToken) }}
{{- $wanted = append $wanted (dict "name" (include "cortex.secret.token" .) "kind" "token" "component" "gateway") }}
{{- end }}
{{- if and .Values.redis.enabled (not .Values.redis.existingSecret) }}
{{- $host := include "cortex.host" (dict "root" . "service" "redis") }}
{{- $wanted = append $wanted (dict "name" (include "cortex.secret.redis" .) "kind" "redis" "component" "redis" "host" $host) }}
{{- end }}
{{- if .Values.postgresql.enabled }}
{{- if not .Values.postgresql.existingSecret }}
{{- $wanted = append $wanted (dict "name" (include "cortex.secret.postgresql" .) "kind" "superuser" "component" "postgresql") }}
{{- end }}
{{- $host := include "cortex.host" (dict "root" . "service" "postgresql") }}
{{- range $service, $existing := .Values.postgresql.existingRoleSecrets }}
{{- if not $existing }}
{{- $name := include "cortex.secret.database" (dict "root" $ "service" $service) }}
{{- $wanted = append $wanted (dict "name" $name "kind" "database" "component" "postgresql" "host" $host "role" (printf "cortex_%s" $service)) }}
{{- end }}
{{- end }}
{{- end }}
{{- dict "wanted" $wanted | toYaml }}
{{- end }}

{{/* The data of a Secret made anew, by its kind. As files/make_secrets.py does. */}}
{{- define "cortex.secretData" -}}
{{- $password := randAlphaNum 40 }}
{{- if eq .kind "internal-key" }}
{{- $pair := genSelfSignedCertWithKey "cortex-gateway" list list 36500 (genPrivateKey "ecdsa") }}
{{- dict "tls.crt" $pair.Cert "tls.key" $pair.Key | toYaml }}
{{- else if eq .kind "pepper" }}
{{- dict "pepper" (randAlphaNum 64) | toYaml }}
{{- else if eq .kind "token" }}
{{- dict "token" (printf "st_%s" (randAlphaNum 48)) | toYaml }}
{{- else if eq .kind "redis" }}
{{- dict "password" $password "url" (printf "redis://:%s@%s:6379/0" $password .host) "auth.conf" (printf "requirepass %s\n" $password) | toYaml }}
{{- else if eq .kind "database" }}
{{- dict "password" $password "url" (printf "postgresql://%s:%s@%s:5432/%s" .role $password .host .role) | toYaml }}
{{- else if eq .kind "superuser" }}
{{- dict "password" $password | toYaml }}
{{- end }}
{{- end }}
