package entrustment

import (
	"cmp"
	"net/netip"
	"slices"

	"entrustment.dev/operator/api/v1alpha1"
)

// Destination is where the pods that act under an entrustment may send to besides its stores.
type Destination struct {
	CIDR  netip.Prefix
	Ports []v1alpha1.Port // sorted; empty: all, of every protocol
}

// Destinations are what every tier of an entrustment's chain permits, sorted: like the rest of its extent, what a tier asks
// for beyond the tiers above is clipped. Addresses of stores outside the cluster are not taken out here.
func (s *Snapshot) Destinations(name string) []Destination {
	c := s.contracts[name]
	if c == nil || c.broken {
		return nil
	}
	var permitted []Destination
	for i, tier := range c.chain() {
		own := tier.destinations()
		if i > 0 {
			own = intersect(own, permitted)
		}
		permitted = own
	}
	slices.SortFunc(permitted, compareDestinations)
	return slices.CompactFunc(permitted, func(a, b Destination) bool { return compareDestinations(a, b) == 0 })
}

func (c *contract) destinations() []Destination {
	var own []Destination
	for _, d := range c.obj.Spec.Egress {
		cidr, err := netip.ParsePrefix(d.CIDR)
		if err != nil {
			continue // what cannot be read permits nothing
		}
		own = append(own, Destination{cidr.Masked(), SortedPorts(d.Ports)})
	}
	return own
}

func intersect(own, above []Destination) []Destination {
	var both []Destination
	for _, d := range own {
		for _, a := range above {
			if !d.CIDR.Overlaps(a.CIDR) {
				continue
			}
			common := Destination{CIDR: d.CIDR, Ports: d.Ports}
			if a.CIDR.Bits() > d.CIDR.Bits() {
				common.CIDR = a.CIDR
			}
			switch {
			case len(d.Ports) == 0:
				common.Ports = a.Ports
			case len(a.Ports) > 0:
				common.Ports = slices.DeleteFunc(slices.Clone(d.Ports), func(p v1alpha1.Port) bool { return !slices.Contains(a.Ports, p) })
				if len(common.Ports) == 0 {
					continue // no ports at all would be read as all
				}
			}
			both = append(both, common)
		}
	}
	return both
}

// SortedPorts spells out protocols, and names each port once.
func SortedPorts(ports []v1alpha1.Port) []v1alpha1.Port {
	sorted := slices.Clone(ports)
	for i := range sorted {
		sorted[i].Protocol = protocol(sorted[i])
	}
	slices.SortFunc(sorted, comparePorts)
	return slices.Compact(sorted)
}

func comparePorts(a, b v1alpha1.Port) int {
	return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
}

func compareDestinations(a, b Destination) int {
	return cmp.Or(a.CIDR.Addr().Compare(b.CIDR.Addr()), cmp.Compare(a.CIDR.Bits(), b.CIDR.Bits()), slices.CompareFunc(a.Ports, b.Ports, comparePorts))
}

// SameDestinations says whether the pods under an entrustment may send to the same as in an older snapshot.
func (s *Snapshot) SameDestinations(old *Snapshot, name string) bool {
	return slices.EqualFunc(s.Destinations(name), old.Destinations(name), func(a, b Destination) bool { return compareDestinations(a, b) == 0 })
}

// ExternalStores are the stores outside the cluster, sorted by key.
func (s *Snapshot) ExternalStores() []*v1alpha1.PersonalDataStore {
	var external []*v1alpha1.PersonalDataStore
	for _, key := range s.external {
		external = append(external, s.stores[key].obj)
	}
	return external
}

// Namespaces are the namespaces that exist, sorted; empty where they are not known.
func (s *Snapshot) Namespaces() []string {
	names := make([]string, 0, len(s.namespaces))
	for name := range s.namespaces {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
