package apply

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/ledger"
)

// Repairs counts what was put back after somebody else had changed or deleted it.
var Repairs = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "entrustment_drift_repairs_total",
	Help: "Objects that the operator put back because somebody else had changed or deleted them, by kind.",
}, []string{"kind"})

// recorder is where repairs are recorded.
type recorder interface{ Record(...ledger.Entry) }

// Drift knows how the writers of one operator left each object, by kind and name, and so what somebody else did to it.
type Drift struct {
	objects *lru.Cache
	ledger  recorder
}

// remembered is of how many objects it is known how they were left. One that is forgotten is repaired as ever, and not told of.
const remembered = 1 << 18

// NewDrift returns the memory of an operator that has just started, which records what is repaired.
func NewDrift(to recorder) *Drift { return &Drift{lru.New(remembered), to} }

// Minding returns the writer with the memory that it shares with those who write the same objects. One without tells nothing.
func (w Writer) Minding(drift *Drift) Writer {
	w.drift = drift
	return w
}

// left is how an object was left: what it says, and since which version. It tells what somebody else did from what the
// operator does itself, because what is wanted has changed. What was done before this process looked is nobody's.
type left struct {
	content [sha256.Size]byte
	labels  []string // keys of those that count
	version string
	seen    bool // so it was read; until then a cache that has no such object is merely behind
}

type object struct {
	kind schema.GroupKind
	key  client.ObjectKey
}

func (d *Drift) find(o object) (left, bool) {
	if d == nil {
		return left{}, false
	}
	found, ok := d.objects.Get(o)
	if !ok {
		return left{}, false
	}
	return found.(left), true
}

func (d *Drift) remember(o object, how left) {
	if d != nil {
		d.objects.Add(o, how)
	}
}

func (d *Drift) forget(o object) {
	if d != nil {
		d.objects.Remove(o)
	}
}

func (w Writer) object(o client.Object) object {
	gvk, _ := apiutil.GVKForObject(o, w.client.Scheme()) // unknown to the scheme: it could not have been read
	return object{gvk.GroupKind(), client.ObjectKeyFromObject(o)}
}

// leave remembers an object that is as it is wanted, as it was read, or as the API server answered.
func (w Writer) leave(live, want client.Object, seen bool) error {
	name := w.object(want)
	was, ok := w.drift.find(name)
	if w.drift == nil || ok && was.version == live.GetResourceVersion() && was.seen == seen {
		return nil
	}
	return w.leaveWith(name, live, slices.Sorted(maps.Keys(want.GetLabels())), seen)
}

func (w Writer) leaveWith(name object, live client.Object, labels []string, seen bool) error {
	content, err := contentOf(live, labels)
	if err != nil {
		return err
	}
	w.drift.remember(name, left{content: content, labels: labels, version: live.GetResourceVersion(), seen: seen})
	return nil
}

// drifted says whether somebody else has changed an object since it was left. Live without a UID: there is none.
func (w Writer) drifted(live, want client.Object) (bool, error) {
	was, ok := w.drift.find(w.object(want))
	switch {
	case !ok:
		return false, nil
	case live.GetUID() == "":
		return was.seen, nil
	case !newer(live, was.version):
		return false, nil
	}
	content, err := contentOf(live, was.labels)
	return content != was.content, err
}

func newer(live client.Object, version string) bool {
	order, err := resourceversion.CompareResourceVersion(live.GetResourceVersion(), version)
	return err == nil && order > 0
}

// repaired tells of an object that was put back.
func (w Writer) repaired(want client.Object, deleted bool) {
	o := w.object(want)
	Repairs.WithLabelValues(o.kind.Kind).Inc()
	message := "somebody changed it, and it was put back"
	if deleted {
		message = "somebody deleted it, and it was made again"
	}
	w.drift.ledger.Record(ledger.Entry{
		Event: ledger.DriftRepaired, Actor: v1alpha1.ManagedBy, Message: message,
		Objects: []ledger.Object{{Kind: o.kind.Kind, Namespace: o.key.Namespace, Name: o.key.Name}},
	})
}

// lost says that an object cannot be kept, because its namespace is going or gone: what is missing then nobody deleted.
func lost(err error) bool { return Terminating(err) || apierrors.IsNotFound(err) }

// contentOf is a digest of what overlay brings about: the content, some labels, and the owners.
func contentOf(o client.Object, labels []string) ([sha256.Size]byte, error) {
	bare := o.DeepCopyObject().(client.Object)
	counted := map[string]string{}
	for _, key := range labels {
		if value, ok := o.GetLabels()[key]; ok {
			counted[key] = value
		}
	}
	*metadata(bare) = metav1.ObjectMeta{Labels: counted, OwnerReferences: o.GetOwnerReferences()}
	if status := reflect.ValueOf(bare).Elem().FieldByName("Status"); status.IsValid() {
		status.SetZero()
	}
	bare.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	text, err := json.Marshal(bare)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("encoding %s: %w", describe(o), err)
	}
	return sha256.Sum256(text), nil
}
