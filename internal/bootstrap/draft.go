package bootstrap

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/internal/reach"
)

// Input is what a draft is made from.
type Input struct {
	Policy entrustment.Inputs // what is there already; it is completed, never contradicted
	gather.Surroundings
	Now time.Time

	Controller string   // the DataProcessor whose data the stores hold
	Own        []string // namespaces that it runs itself, besides those of the stores
	Named      bool     // somebody said that the Services are stores, whatever they look like
}

// A Draft is the objects in the order in which they are to be applied, and what is to be said of all of them.
type Draft struct {
	Notes     []string
	Documents []Document
}

// A Document is one object, and what it rests on, a line each. Texts that a person has to give are gather.Placeholder; so is an
// instant that is zero.
type Document struct {
	Notes  []string
	Object interface {
		metav1.Object
		runtime.Object
	}
}

// ErrNoStore says that there is nothing to begin with.
var ErrNoStore = errors.New("no Service looks like a store of personal data; name those that are one: NAMESPACE/SERVICE, or --selector")

// New drafts a policy. The error says what the input lacks.
func New(in Input) (Draft, error) {
	in.Workloads = slices.SortedFunc(slices.Values(in.Workloads), func(a, b gather.Workload) int { return cmp.Compare(a.String(), b.String()) })
	d := &drafter{
		Input: in, snapshot: entrustment.Compile(in.Policy, in.Now), policies: reach.Compile(in.Surroundings.Policies),
		own: map[string]bool{}, users: map[string]*user{},
	}
	stores := d.stores()
	if len(stores) == 0 && len(d.notes) == 0 {
		return Draft{}, ErrNoStore
	}
	for _, name := range in.Own {
		d.own[name] = true
	}
	for _, s := range stores {
		d.own[s.namespace] = true
	}
	for _, s := range stores {
		d.findUsers(s)
	}
	var draft Draft
	if len(stores) > 0 {
		draft.add(d.purpose())
		draft.add(d.controller())
	}
	parties := d.parties()
	for _, p := range parties {
		draft.add(d.party(p))
	}
	for _, s := range stores {
		draft.add(s.document(in.Controller))
	}
	for _, p := range parties {
		draft.Documents = append(draft.Documents, d.contracts(p)...)
	}
	draft.Notes = append(head(len(stores), len(d.users)), d.notes...)
	return draft, nil
}

// head is what whoever opens the file has to know first.
func head(stores, users int) []string {
	return []string{
		fmt.Sprintf("A first policy, guessed from what there is: %s, used from %s of others. Nothing was applied.", count(stores, "store"), count(users, "namespace")),
		"Complete every " + gather.Placeholder + ", delete what is no personal data, and see that lint finds nothing: kubectl entrust lint -f FILE",
		"All of it is in Report mode: no packet is cut and no pod refused for what is not granted; the status of the stores shows what would be.",
		"Two things hold from the first moment on: to enter a store's pods (exec, attach, port-forward) takes the verb intervene on the store, and",
		"to write endpoints that lead to them the verb update.",
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (d *Draft) add(document *Document) {
	if document != nil {
		d.Documents = append(d.Documents, *document)
	}
}

// drafter is the state of making one draft.
type drafter struct {
	Input
	snapshot *entrustment.Snapshot
	policies *reach.Policies
	notes    []string
	own      map[string]bool  // namespaces of the data controller's: those given, and those of the stores
	users    map[string]*user // by namespace
}

// A user is a namespace, not of the data controller's, whose pods seem to use stores.
type user struct {
	namespace string
	stores    []*store
	evidence  []string
}

func (d *drafter) note(format string, args ...any) {
	if note := fmt.Sprintf(format, args...); !slices.Contains(d.notes, note) {
		d.notes = append(d.notes, note)
	}
}

// uses notes that a namespace seems to use a store.
func (d *drafter) uses(namespace string, s *store, evidence string) {
	switch party, _, _ := d.snapshot.Binding(namespace); {
	case namespace == s.namespace:
		return
	case strings.HasPrefix(namespace, systemPrefix):
		s.say("%s, but no party can have a system namespace.", evidence)
		return
	case party == d.Controller, party == "" && d.own[namespace]:
		s.say("%s: the data controller itself.", evidence)
		return
	}
	u := d.users[namespace]
	if u == nil {
		u = &user{namespace: namespace}
		d.users[namespace] = u
	}
	if !slices.Contains(u.stores, s) {
		u.stores = append(u.stores, s)
	}
	if !slices.Contains(u.evidence, evidence) {
		u.evidence = append(u.evidence, evidence)
	}
	s.entrusted = true
}

// purpose is one to begin with, where the data controller has published none.
func (d *drafter) purpose() *Document {
	var published []string
	for _, p := range d.Policy.Purposes {
		if p.Spec.ControllerName == d.Controller {
			published = append(published, p.Name)
		}
	}
	if len(published) > 0 {
		slices.Sort(published)
		const most = 20
		text := strings.Join(published[:min(len(published), most)], ", ")
		if more := len(published) - most; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		d.note("Purposes of %s: %s.", d.Controller, text)
		return nil
	}
	purpose := &v1alpha1.Purpose{TypeMeta: kind("Purpose"), ObjectMeta: metav1.ObjectMeta{Name: gather.Placeholder}}
	purpose.Spec.ControllerName, purpose.Spec.Title = d.Controller, gather.Placeholder
	return &Document{Object: purpose, Notes: []string{"A purpose of use, as it was published. Write one for each, and name them below."}}
}

// controller is the data controller, with the namespaces of the stores and its own.
func (d *drafter) controller() *Document {
	processor := d.processor(d.Controller)
	document := &Document{Object: processor, Notes: []string{"The data controller. Its own namespaces are those of the stores, and those given with --own."}}
	exists := processor.Spec.LegalName != gather.Placeholder
	if exists {
		document.Notes = []string{"The data controller as it is, with these namespaces besides:"}
	}
	added := 0
	for _, name := range slices.Sorted(maps.Keys(d.own)) {
		switch party, _, bound := d.snapshot.Binding(name); {
		case party == d.Controller:
		case bound:
			document.Notes = append(document.Notes, fmt.Sprintf("Namespace %s holds a store and is bound to DataProcessor %s: see whose it is.", name, party))
		case strings.HasPrefix(name, systemPrefix):
			document.Notes = append(document.Notes, fmt.Sprintf("Namespace %s is one of the system, which no party can have.", name))
		case len(processor.Spec.Namespaces) == mostNamespaces:
			document.Notes = append(document.Notes, fmt.Sprintf("Namespace %s is left out: a party has at most %d.", name, mostNamespaces))
		default:
			processor.Spec.Namespaces = append(processor.Spec.Namespaces, binding(name))
			added++
			if exists {
				document.Notes = append(document.Notes, "- "+name)
			}
		}
	}
	if exists && added == 0 {
		return nil
	}
	return document
}

// processor is the one of that name, or a new one to complete.
func (d *drafter) processor(name string) *v1alpha1.DataProcessor {
	processor := &v1alpha1.DataProcessor{TypeMeta: kind("DataProcessor"), ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, p := range d.Policy.Processors {
		if p.Name == name {
			processor.Labels, processor.Spec = maps.Clone(p.Labels), *p.Spec.DeepCopy()
			return processor
		}
	}
	processor.Spec.LegalName, processor.Spec.Country = gather.Placeholder, gather.Placeholder
	return processor
}

// A party is who has namespaces that use stores.
type party struct {
	name  string
	known bool // there is a DataProcessor already, which has the namespaces
	users []*user
}

// parties are the users' own, sorted by name: those that have the namespaces, or new ones named after them.
func (d *drafter) parties() []*party {
	taken := map[string]bool{d.Controller: true}
	for _, p := range d.Policy.Processors {
		taken[p.Name] = true
	}
	byName := map[string]*party{}
	for _, namespace := range slices.Sorted(maps.Keys(d.users)) {
		name, _, known := d.snapshot.Binding(namespace)
		if !known {
			name = free(namespace, taken)
		}
		if byName[name] == nil {
			byName[name] = &party{name: name, known: known}
		}
		byName[name].users = append(byName[name].users, d.users[namespace])
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b *party) int { return cmp.Compare(a.name, b.name) })
}

// free is a name that is not taken, and takes it.
func free(name string, taken map[string]bool) string {
	candidate := name
	for i := 2; taken[candidate]; i++ {
		suffix := fmt.Sprintf("-%d", i)
		candidate = name[:min(len(name), mostName-len(suffix))] + suffix
	}
	taken[candidate] = true
	return candidate
}

func (d *drafter) party(p *party) *Document {
	if p.known {
		return nil
	}
	processor := d.processor(p.name)
	notes := []string{}
	for _, u := range p.users {
		processor.Spec.Namespaces = append(processor.Spec.Namespaces, binding(u.namespace))
		notes = append(notes, fmt.Sprintf("Whose is namespace %s? If it is the data controller's own, delete this and its Entrustment, and draft again with --own %s.", u.namespace, u.namespace))
	}
	return &Document{Object: processor, Notes: notes}
}

// contracts entrust a party with the stores that it seems to use, at most as many in each as fit.
func (d *drafter) contracts(p *party) []Document {
	taken := map[string]bool{}
	for _, e := range d.Policy.Entrustments {
		taken[e.Name] = true
	}
	keys := map[types.NamespacedName]bool{}
	var evidence []string
	for _, u := range p.users {
		evidence = append(evidence, u.evidence...)
		for _, s := range u.stores {
			keys[types.NamespacedName{Namespace: s.namespace, Name: s.name}] = true
		}
	}
	references := slices.SortedFunc(maps.Keys(keys), func(a, b types.NamespacedName) int { return cmp.Compare(a.String(), b.String()) })
	var documents []Document
	for some := range slices.Chunk(references, mostStores) {
		contract := &v1alpha1.Entrustment{TypeMeta: kind("Entrustment"), ObjectMeta: metav1.ObjectMeta{Name: free(p.name, taken)}}
		contract.Spec = v1alpha1.EntrustmentSpec{
			EntrusterName: d.Controller, EntrusteeName: p.name,
			Purposes: []v1alpha1.Name{gather.Placeholder}, DataCategories: []v1alpha1.DataCategory{gather.Placeholder},
			Contract: &v1alpha1.Contract{Reference: gather.Placeholder, ConcludedDate: gather.Placeholder, Clauses: []v1alpha1.Clause{gather.Placeholder}},
		}
		for _, key := range some {
			contract.Spec.Stores = append(contract.Spec.Stores, v1alpha1.StoreReference{Namespace: key.Namespace, Name: key.Name})
		}
		documents = append(documents, Document{Object: contract, Notes: evidence})
	}
	return documents
}

func binding(namespace string) v1alpha1.NamespaceBinding {
	return v1alpha1.NamespaceBinding{Name: namespace, Enforcement: v1alpha1.EnforcementReport}
}

func kind(name string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: name}
}

// What the schema of the kinds allows.
const (
	systemPrefix   = "kube-"
	mostName       = 63
	mostNamespaces = 32
	mostStores     = 64
	mostPorts      = 16
	mostSecrets    = 16
)
