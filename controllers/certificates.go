package controllers

import (
	"crypto/tls"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"entrustment.dev/operator/controllers/certificate"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/certs"
)

// certificates of the webhook: those that the operator makes, or files that somebody else keeps.
type certificates struct {
	own   *certs.Serving
	files *certwatcher.CertWatcher // nil: own
}

// newCertificates returns those of a directory; without one, the operator's own.
func newCertificates(dir string) (*certificates, error) {
	if dir == "" {
		return &certificates{own: &certs.Serving{}}, nil
	}
	files, err := certwatcher.New(filepath.Join(dir, corev1.TLSCertKey), filepath.Join(dir, corev1.TLSPrivateKeyKey))
	if err != nil {
		return nil, fmt.Errorf("--webhook-cert-dir: %w", err)
	}
	return &certificates{files: files}, nil
}

// newWebhookServer returns the server of the webhook and where its certificates come from; an operator to whom nothing is
// granted has neither.
func newWebhookServer(o Options) (*certificates, webhook.Server, error) {
	if o.withdrawn {
		return nil, nil, nil
	}
	host, port, err := bindAddress(o.WebhookBindAddress)
	if err != nil {
		return nil, nil, err
	}
	serving, err := newCertificates(o.WebhookCertDir)
	if err != nil {
		return nil, nil, err
	}
	return serving, webhook.NewServer(webhook.Options{Host: host, Port: port, TLSOpts: []func(*tls.Config){func(c *tls.Config) {
		c.MinVersion = tls.VersionTLS12
		c.GetCertificate = serving.GetCertificate
	}}}), nil
}

// GetCertificate is for tls.Config.
func (c *certificates) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.files != nil {
		return c.files.GetCertificate(hello)
	}
	return c.own.GetCertificate(hello)
}

// setup keeps them current, on every replica, and returns what tells whether the API server trusts them. They go by the clock
// of the machine: the API server has no other.
func (c *certificates) setup(mgr manager.Manager, configurations cache.Cache, writer apply.Writer, o Options) (certificate.Trust, error) {
	trust := certificate.Trust{Configurations: configurations, Served: c.GetCertificate, Clock: clock.RealClock{}}
	if c.files != nil {
		return trust, mgr.Add(c.files)
	}
	host, _, err := bindAddress(o.WebhookBindAddress)
	if err != nil {
		return trust, err
	}
	secrets, err := cacheOfOne(mgr, &corev1.Secret{}, o.Namespace, certificate.SecretName)
	if err != nil {
		return trust, err
	}
	keeper := &certificate.Reconciler{
		Secrets: secrets, Configurations: configurations, Writer: writer, Namespace: o.Namespace,
		Hosts: webhookHosts(host), Terms: o.Certificates, Clock: clock.RealClock{}, Serving: c.own,
	}
	return trust, keeper.SetupWithManager(mgr)
}
