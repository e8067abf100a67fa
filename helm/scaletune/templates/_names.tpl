{{- define "scaletune.name" -}}
{{- if contains "scaletune" .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-scaletune" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{/* Of what belongs to no namespace: two releases of one name never share it. */}}
{{- define "scaletune.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "scaletune.name" .) | trunc 100 | trimSuffix "-" }}
{{- end -}}

{{- define "scaletune.account" -}}
{{ .Values.serviceAccount.name | default (include "scaletune.name" .) }}
{{- end -}}

{{- define "scaletune.selector" -}}
app.kubernetes.io/name: scaletune
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "scaletune.labels" -}}
{{ include "scaletune.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}
