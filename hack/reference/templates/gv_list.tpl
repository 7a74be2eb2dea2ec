{{- define "gvList" -}}
# Reference: every field

Generated from `api/v1alpha1` by `make manifests`; `kubectl explain` says the same in a terminal. What a reason means is in
[troubleshooting](troubleshooting.md), how a policy is written in [policy](policy.md).
{{ range . }}{{ template "gvDetails" . }}{{ end }}
{{- end -}}
