package credentials

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
)

// rotationDue is since when a store's credentials ought to have been changed.
var rotationDue = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "entrustment_rotation_required_since_seconds",
	Help: "Unix time at which a grant ended that had received a credential of the store, which has not been changed since.",
}, []string{"store_namespace", "store"})

func registerMetrics() error {
	if err := metrics.Registry.Register(rotationDue); err != nil && !errors.As(err, &prometheus.AlreadyRegisteredError{}) {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

const reasonRotationRequired = "RotationRequired"

// ended is the note of one credential: when a grant of it ended, and what was held then.
type ended struct {
	Since  time.Time `json:"since"`
	Salt   []byte    `json:"salt"`
	Digest []byte    `json:"digest"`
}

// holds says whether data are what was held.
func (e *ended) holds(data map[string][]byte) bool {
	return subtle.ConstantTimeCompare(e.Digest, digest(e.Salt, data)) == 1
}

func digest(salt []byte, data map[string][]byte) []byte {
	hash := sha256.New()
	write := func(part []byte) {
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		hash.Write(part)
	}
	write(salt)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		write([]byte(key))
		write(data[key])
	}
	return hash.Sum(nil)
}

// record is the note of a store, by credential.
type record map[string]ended

// read takes what it understands: a note that is damaged says nothing.
func read(secret *corev1.Secret) record {
	notes := record{}
	for name, text := range secret.Data {
		var e ended
		if json.Unmarshal(text, &e) == nil {
			notes[name] = e
		}
	}
	return notes
}

func (notes record) render(store types.NamespacedName) (*corev1ac.SecretApplyConfiguration, error) {
	data := map[string][]byte{}
	for name, e := range notes {
		text, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encoding the note on a credential: %w", err)
		}
		data[name] = text
	}
	return corev1ac.Secret(v1alpha1.RotationRecordName(store.Name), store.Namespace).
		WithLabels(map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelStore: store.Name, v1alpha1.LabelStoreNamespace: store.Namespace,
		}).
		WithType(corev1.SecretTypeOpaque).WithData(data), nil
}

// recorded says whether a Secret is the note of a store.
func recorded(secret *corev1.Secret) (store types.NamespacedName, ok bool) {
	store = types.NamespacedName{Namespace: secret.Namespace, Name: secret.Labels[v1alpha1.LabelStore]}
	return store, secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && secret.Name == v1alpha1.RotationRecordName(store.Name)
}

// due notes that a grant ended that had received a credential. A credential that its store declares no more is nobody's to
// change.
func (r *Reconciler) due(ctx context.Context, current *entrustment.Snapshot, namespace string, d *entrustment.Delivery, held *corev1.Secret) error {
	store := current.Store(d.Store)
	credential := declared(store, d.Credential)
	if credential == nil || !store.DeletionTimestamp.IsZero() {
		return nil
	}
	noted, err := r.edit(ctx, d.Store, func(notes record) bool {
		if before, ok := notes[d.Credential]; ok && before.holds(held.Data) {
			return false
		}
		e := ended{Since: r.Clock.Now().UTC().Truncate(time.Second), Salt: make([]byte, 16)}
		_, _ = rand.Read(e.Salt) // it never fails
		e.Digest = digest(e.Salt, held.Data)
		notes[d.Credential] = e
		return true
	})
	if apply.Terminating(err) || apierrors.IsNotFound(err) {
		return nil // the store goes with its namespace
	}
	if err != nil {
		return fmt.Errorf("noting that namespace %s had credential %s of store %s: %w", namespace, d.Credential, d.Store, err)
	}
	if noted {
		r.Recorder.Eventf(store, nil, corev1.EventTypeWarning, reasonRotationRequired, "Revoke",
			"namespace %s, whose grant ended, had received credential %s; change it in Secret %s, which delivers it to those still granted",
			namespace, d.Credential, credential.SecretName)
	}
	return nil
}

// edit changes the note of a store as it is, not as it was seen; without an entry it goes.
func (r *Reconciler) edit(ctx context.Context, store types.NamespacedName, change func(record) bool) (changed bool, err error) {
	r.rotations.Lock()
	defer r.rotations.Unlock()
	live := &corev1.Secret{}
	err = r.Live.Get(ctx, types.NamespacedName{Namespace: store.Namespace, Name: v1alpha1.RotationRecordName(store.Name)}, live)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return false, fmt.Errorf("reading the note of store %s: %w", store, err)
	}
	notes := read(live)
	if !change(notes) {
		return false, nil
	}
	switch {
	case len(notes) == 0 && missing:
		return false, nil // gone already, whatever was seen
	case len(notes) == 0:
		return true, r.Writer.Delete(ctx, live)
	}
	desired, err := notes.render(store)
	if err != nil {
		return false, err
	}
	if missing {
		return true, r.Writer.Create(ctx, desired)
	}
	return true, r.Writer.Replace(ctx, live, desired)
}

// endRotations forgets what was noted of credentials that have been changed since, and of stores that are gone.
func (r *Reconciler) endRotations(ctx context.Context, n *needs) error {
	var errs []error
	for _, secret := range r.Secrets.Managed(n.namespace) {
		key, ok := recorded(secret)
		if !ok {
			continue
		}
		i := slices.IndexFunc(n.stores, func(s *v1alpha1.PersonalDataStore) bool { return s.Name == key.Name })
		over := func(name string, e ended) bool {
			if i < 0 {
				return true
			}
			credential := declared(n.stores[i], name)
			if credential == nil {
				return true
			}
			source, known := r.Secrets.Source(types.NamespacedName{Namespace: n.namespace, Name: credential.SecretName})
			return known && source != nil && !e.holds(source.Data)
		}
		stale := func(notes record) bool {
			before := len(notes)
			maps.DeleteFunc(notes, over)
			return len(notes) != before
		}
		if i < 0 || stale(read(secret)) {
			_, err := r.edit(ctx, key, func(notes record) bool { return stale(notes) || i < 0 })
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// rotationSince is the earliest end of a grant whose credential has not been changed since; nil: none.
func rotationSince(secret *corev1.Secret) *metav1.Time {
	var first *metav1.Time
	for _, e := range read(secret) {
		if at := metav1.NewTime(e.Since); first == nil || at.Before(first) {
			first = &at
		}
	}
	return first
}
