// Package definitions names the kinds of other projects that are rendered, or shown as samples: the Go types that these publish, from
// which test/install makes the definitions. It is a module of its own, because each of them asks for far more than its types.
package definitions

import (
	_ "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"              // Certificate, Issuer
	_ "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"      // ExternalSecret
	_ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1" // PrometheusRule, ServiceMonitor
)
