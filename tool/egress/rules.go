package egress

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/lang/strict"
	"github.com/haechi-dev/haechi/word/fault"
)

// Rules say what a build may reach, in the words of CodeBuild's
// proxyConfiguration. The first rule that fits counts; the zero value denies all.
type Rules struct {
	Default Behavior `json:"defaultBehavior,omitzero" yaml:"defaultBehavior"`
	Ordered []Rule   `json:"orderedProxyRules,omitzero" yaml:"orderedProxyRules"`
}

// Rule allows or denies destinations.
type Rule struct {
	Type   Type   `json:"type" yaml:"type"`
	Effect Effect `json:"effect" yaml:"effect"`
	// Entities are names (github.com), all names below one (*.github.com), all
	// names (*), addresses or prefixes (192.0.2.0/24). Without a port, what is
	// allowed is allowed at 80 and 443, and what is denied is denied at all:
	// github.com:22 and github.com:* say otherwise.
	Entities []string `json:"entities" yaml:"entities"`
}

// Behavior is what becomes of what no rule fits.
type Behavior string

// The behaviors there are; none is DenyAll.
const (
	AllowAll Behavior = "ALLOW_ALL"
	DenyAll  Behavior = "DENY_ALL"
)

// UnmarshalText takes none but those.
func (b *Behavior) UnmarshalText(text []byte) error { return oneOf(b, text, AllowAll, DenyAll) }

// Type is what a rule is about.
type Type string

// The types there are.
const (
	Domain Type = "DOMAIN"
	IP     Type = "IP"
)

// UnmarshalText takes none but those.
func (t *Type) UnmarshalText(text []byte) error { return oneOf(t, text, Domain, IP) }

// Effect is what a rule does.
type Effect string

// The effects there are.
const (
	Allow Effect = "ALLOW"
	Deny  Effect = "DENY"
)

// UnmarshalText takes none but those.
func (e *Effect) UnmarshalText(text []byte) error { return oneOf(e, text, Allow, Deny) }

func oneOf[T ~string](to *T, text []byte, known ...T) error {
	if !slices.Contains(known, T(text)) {
		return fault.Invalid.Errorf("%.40q is not known here: there are %s and %s", text, known[0], known[1])
	}
	*to = T(text)
	return nil
}

// AWS's bounds.
const (
	mostRules    = 100
	mostEntities = 100
)

// ParseRules reads rules that somebody wrote, in JSON or YAML: a
// proxyConfiguration, with that word around it or without.
func ParseRules(file string, text []byte) (Rules, error) {
	var around struct {
		Within  *Rules   `yaml:"proxyConfiguration"`
		Default Behavior `yaml:"defaultBehavior"`
		Ordered []Rule   `yaml:"orderedProxyRules"`
	}
	if err := strict.Unmarshal(file, text, &around); err != nil {
		return Rules{}, err
	}
	r := Rules{Default: around.Default, Ordered: around.Ordered}
	if around.Within != nil {
		if r.Default != "" || r.Ordered != nil {
			return Rules{}, fault.Invalid.Errorf("%s: rules stand within proxyConfiguration and beside it", file)
		}
		r = *around.Within
	}
	if err := r.Check(); err != nil {
		return Rules{}, err
	}
	return r, nil
}

// Check says what is wrong with rules, if anything is.
func (r Rules) Check() error { _, err := r.compile(); return err }

// rule is one entity of a Rule, as it is asked about.
type rule struct {
	allow  bool
	name   string // "": an address; "*": all names
	below  bool   // all names that end with name, which begins with a dot
	prefix netip.Prefix
	port   int // 0: 80 and 443 where it allows, all where it denies; -1: all
}

type rules struct {
	all   bool // what no rule fits is allowed
	rules []rule
}

func (r Rules) compile() (*rules, error) {
	c := &rules{}
	if r.Default != "" {
		if err := new(Behavior).UnmarshalText([]byte(r.Default)); err != nil {
			return nil, err
		}
		c.all = r.Default == AllowAll
	}
	if len(r.Ordered) > mostRules {
		return nil, fault.Invalid.Errorf("orderedProxyRules: there are %d rules; %d are allowed", len(r.Ordered), mostRules)
	}
	for i, one := range r.Ordered {
		where := "orderedProxyRules[" + strconv.Itoa(i) + "]"
		if err := new(Type).UnmarshalText([]byte(one.Type)); err != nil {
			return nil, fault.Invalid.Errorf("%s: type: %w", where, err)
		}
		if err := new(Effect).UnmarshalText([]byte(one.Effect)); err != nil {
			return nil, fault.Invalid.Errorf("%s: effect: %w", where, err)
		}
		if len(one.Entities) == 0 || len(one.Entities) > mostEntities {
			return nil, fault.Invalid.Errorf("%s: there are %d entities; 1 to %d are allowed", where, len(one.Entities), mostEntities)
		}
		for _, e := range one.Entities {
			compiled, err := parseEntity(one.Type, e)
			if err != nil {
				return nil, fault.Invalid.Errorf("%s: %w", where, err)
			}
			compiled.allow = one.Effect == Allow
			c.rules = append(c.rules, compiled)
		}
	}
	return c, nil
}

func parseEntity(t Type, e string) (rule, error) {
	var r rule
	if strings.Contains(e, "://") {
		return r, fault.Invalid.Errorf("%.100q is not the name of a host: leave out what stands before and behind it", e)
	}
	host := strings.ToLower(e)
	if t == IP {
		if prefix, err := netip.ParsePrefix(host); err == nil {
			r.prefix = prefix.Masked()
			return r, nil
		}
	}
	if name, port, err := net.SplitHostPort(host); err == nil && !(t == IP && strings.Count(host, ":") > 1 && !strings.HasPrefix(host, "[")) {
		host = name
		r.port = -1
		if port != "*" {
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil || n == 0 {
				return r, fault.Invalid.Errorf("%.100q: %.20q is no port", e, port)
			}
			r.port = int(n)
		}
	}
	if t == IP {
		if prefix, err := netip.ParsePrefix(host); err == nil {
			r.prefix = prefix.Masked()
			return r, nil
		}
		addr, err := netip.ParseAddr(host)
		if err != nil || addr.Zone() != "" {
			return r, fault.Invalid.Errorf("%.100q is neither an address nor a prefix (192.0.2.7, 192.0.2.0/24)", e)
		}
		addr = addr.Unmap()
		r.prefix = netip.PrefixFrom(addr, addr.BitLen())
		return r, nil
	}
	r.name = strings.TrimSuffix(host, ".")
	if r.name == "*" {
		return r, nil
	}
	rest, below := strings.CutPrefix(r.name, "*.")
	if below {
		r.name, r.below = "."+rest, true
	}
	if _, err := netip.ParseAddr(rest); err == nil {
		return r, fault.Invalid.Errorf("%.100q is an address: its rule has the type IP", e)
	}
	if !isName(rest) {
		return r, fault.Invalid.Errorf("%.100q is not the name of a host (github.com), of those below one (*.github.com), or of all (*)", e)
	}
	return r, nil
}

// isName tells names of hosts from all else, without scheme, path or blanks.
func isName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// fits tells whether the rule is about a destination. addr is not valid as
// long as nobody knows it; then known says whether that leaves no doubt.
func (r rule) fits(host string, addr netip.Addr, port int) (yes, known bool) {
	switch {
	case r.port > 0 && r.port != port, r.port == 0 && r.allow && port != 80 && port != 443:
		return false, true
	case r.name == "":
		return addr.IsValid() && r.prefix.Contains(addr), addr.IsValid()
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return false, true // names are not addresses
	}
	return r.name == "*" || r.name == host || r.below && strings.HasSuffix(host, r.name) && len(host) > len(r.name), true
}

// verdict is what the rules say.
type verdict int

const (
	denied verdict = iota
	allowed
	undecided // it depends on the address
)

// judge says whether host, which is in lower case, may be reached at port.
func (c *rules) judge(host string, addr netip.Addr, port int) verdict {
	if a, err := netip.ParseAddr(host); err == nil {
		addr = a.Unmap()
	}
	for _, r := range c.rules {
		yes, known := r.fits(host, addr, port)
		switch {
		case !known:
			return undecided
		case yes && r.allow:
			return allowed
		case yes:
			return denied
		}
	}
	if c.all {
		return allowed
	}
	return denied
}
