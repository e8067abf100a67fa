{{/*
All that the operator may do, and no more: a test runs it and fails on a verb here that is never
used, and on any call that is refused. Each list lies where the operator needs it.
*/}}

{{/* In every namespace that it serves. */}}
{{- define "scaletune.rules.served" -}}
- apiGroups: [scaletune.dev]
  resources: [studies]
  verbs: [get, list, watch]
- apiGroups: [scaletune.dev]
  resources: [trials]
  verbs: [get, list, watch, create, update]
- apiGroups: [scaletune.dev]
  resources: [studies/status, trials/status]
  verbs: [update]
# Owner references that block the deletion of their owner need this where it is enforced (OpenShift).
- apiGroups: [scaletune.dev]
  resources: [studies/finalizers, trials/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
# To create is for rehearsals (dryRun=All) alone: real pods are made by the Jobs' controller.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch, create]
- apiGroups: [""]
  resources: [services]
  verbs: [create]
# To list is for the warnings about Jobs and pods that do not start.
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
{{- end -}}

{{/* In its own namespace: of several replicas one acts, by a Lease. */}}
{{- define "scaletune.rules.own" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "scaletune.name" . }}]
  verbs: [get, update]
{{- end -}}

{{/* Of what belongs to no namespace, such as nodes. Empty while there is nothing. */}}
{{- define "scaletune.rules.cluster" -}}
{{- end -}}
