package licence

import "strings"

// Kind is what a licence asks of those who pass software on.
type Kind string

const (
	Permissive Kind = "permissive" // keep the notice
	Weak       Kind = "weak"       // changes to its own files or library are passed on alike
	Strong     Kind = "strong"     // the whole work is passed on alike
	Network    Kind = "network"    // so is a work that is only used over a network
	Restricted Kind = "restricted" // not every use is allowed
	Other      Kind = "other"      // not known here
)

// rank orders kinds by how much they ask.
func (k Kind) rank() int {
	switch k {
	case Permissive:
		return 0
	case Weak:
		return 1
	case Strong:
		return 2
	case Network:
		return 3
	case Restricted:
		return 4
	}
	return 5
}

// Kind is what the expression asks for at least: the mildest of a choice, the most demanding of what holds together.
func (e Expression) Kind() Kind {
	if e.Operator == "" {
		return e.kindOfOne()
	}
	kind := e.Parts[0].Kind()
	for _, p := range e.Parts[1:] {
		k := p.Kind()
		if (e.Operator == "AND") == (k.rank() > kind.rank()) {
			kind = k
		}
	}
	return kind
}

func (e Expression) kindOfOne() Kind {
	if !e.Known() {
		return Other
	}
	id := e.ID
	has := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(id, p) {
				return true
			}
		}
		return false
	}
	switch {
	case strings.Contains(id, "-NC"), has("BUSL", "Elastic", "PolyForm", "JSON"):
		return Restricted
	case has("AGPL", "SSPL", "OSL", "RPL", "CPAL", "EUPL"):
		return Network
	case has("GPL") && strings.Contains(strings.ToLower(e.Exception), "classpath"), has("GPL") && strings.Contains(e.Exception, "linking"), has("GPL") && strings.Contains(e.Exception, "GCC"):
		return Weak
	case has("GPL", "CC-BY-SA", "Sleepycat", "QPL", "CECILL-2", "CECILL-1", "GFDL"):
		return Strong
	case has("LGPL", "MPL", "EPL", "CDDL", "CPL", "IPL", "APSL", "MS-RL", "Artistic", "LPPL", "OFL", "CECILL-C", "SISSL", "NPL"):
		return Weak
	case has("CC-BY-ND"):
		return Restricted
	}
	return Permissive
}
