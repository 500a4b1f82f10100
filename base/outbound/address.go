package outbound

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// special are the ranges that are nobody's public address, and what they are.
// They follow IANA's registries of special-purpose addresses.
func special() []described {
	return []described{
		{"0.0.0.0/8", "an unspecified address"}, {"10.0.0.0/8", "a private address"}, {"100.64.0.0/10", "a carrier's shared address"},
		{"127.0.0.0/8", "a loopback address"}, {"169.254.0.0/16", "a link-local address"}, {"172.16.0.0/12", "a private address"},
		{"192.0.0.0/24", "a protocol's own address"}, {"192.0.2.0/24", "a documentation address"}, {"192.88.99.0/24", "a 6to4 relay"},
		{"192.168.0.0/16", "a private address"}, {"198.18.0.0/15", "a benchmarking address"}, {"198.51.100.0/24", "a documentation address"},
		{"203.0.113.0/24", "a documentation address"}, {"224.0.0.0/4", "a multicast address"}, {"240.0.0.0/4", "a reserved address"},
		{"::/128", "an unspecified address"}, {"::1/128", "a loopback address"}, {"::/96", "an IPv4-compatible address"},
		{"64:ff9b::/96", "a NAT64 address"}, {"64:ff9b:1::/48", "a NAT64 address"}, {"100::/64", "a discard address"},
		{"2001::/32", "a Teredo address"}, {"2001::/23", "a protocol's own address"}, {"2001:db8::/32", "a documentation address"},
		{"2002::/16", "a 6to4 address"}, {"3fff::/20", "a documentation address"}, {"fc00::/7", "a private address"},
		{"fe80::/10", "a link-local address"}, {"fec0::/10", "a site-local address"}, {"ff00::/8", "a multicast address"},
	}
}

type described struct{ prefix, what string }

// metadata are the addresses at which clouds tell a machine its own secrets.
// No configuration opens them.
func metadata() []string {
	return []string{
		"169.254.169.254", // AWS, Azure, GCP, OpenStack and most others
		"169.254.170.2",   // AWS, containers
		"169.254.170.23",  // AWS, pods
		"169.254.0.23",    // Tencent
		"100.100.100.200", // Alibaba
		"192.0.0.192",     // Oracle
		"168.63.129.16",   // Azure, the host itself
		"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
	}
}

// rules is what may be dialled, read once from a Config.
type rules struct {
	special  []netip.Prefix
	what     []string
	metadata map[netip.Addr]bool
	prefixes []netip.Prefix  // allowed
	hosts    map[string]bool // allowed, as host:port
}

func newRules(allow []string) (*rules, error) {
	r := &rules{metadata: map[netip.Addr]bool{}, hosts: map[string]bool{}}
	for _, s := range special() {
		r.special = append(r.special, netip.MustParsePrefix(s.prefix))
		r.what = append(r.what, s.what)
	}
	for _, m := range metadata() {
		r.metadata[netip.MustParseAddr(m)] = true
	}
	for _, entry := range allow {
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			r.prefixes = append(r.prefixes, prefix.Masked())
			continue
		}
		if addr, err := netip.ParseAddr(entry); err == nil {
			r.prefixes = append(r.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		host, port, err := net.SplitHostPort(entry)
		if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 || host == "" || strings.ContainsAny(host, "/*@") {
			return nil, fault.Invalid.Errorf("outbound.allow: %q is neither a prefix, an address nor host:port", entry)
		}
		r.hosts[hostPort(host, port)] = true
	}
	return r, nil
}

func hostPort(host, port string) string {
	return net.JoinHostPort(strings.ToLower(strings.TrimSuffix(host, ".")), port)
}

// judge is why an address may not be dialled, or "". named tells that whoever
// runs the server has allowed the name and port it was found by.
func (r *rules) judge(addr netip.Addr, named bool) string {
	addr = addr.Unmap().WithZone("")
	inner, wraps := embedded(addr)
	if r.metadata[addr] || wraps && r.metadata[inner] {
		return "a metadata address"
	}
	if !named && !r.allows(addr) {
		for i, p := range r.special {
			if p.Contains(addr) {
				return r.what[i]
			}
		}
		if addr.Is6() && !netip.MustParsePrefix("2000::/3").Contains(addr) {
			return "a reserved address"
		}
	}
	if wraps && !named {
		return r.judge(inner, false) // through a translator it is the inner address that is reached
	}
	return ""
}

func (r *rules) allows(addr netip.Addr) bool {
	for _, p := range r.prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// embedded is the IPv4 address that an IPv6 address leads to through a
// translator or a tunnel.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return addr, false
	}
	b := addr.As16()
	at := func(i int, flip byte) (netip.Addr, bool) {
		return netip.AddrFrom4([4]byte{b[i] ^ flip, b[i+1] ^ flip, b[i+2] ^ flip, b[i+3] ^ flip}), true
	}
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(addr), netip.MustParsePrefix("64:ff9b:1::/48").Contains(addr):
		return at(12, 0)
	case netip.MustParsePrefix("2002::/16").Contains(addr):
		return at(2, 0)
	case netip.MustParsePrefix("2001::/32").Contains(addr):
		return at(12, 0xff)
	case netip.MustParsePrefix("::/96").Contains(addr) && addr != netip.IPv6Loopback() && addr != netip.IPv6Unspecified():
		return at(12, 0)
	}
	return addr, false
}

// A Refused is an address that may not be dialled. It is permanent: trying
// again changes nothing.
type Refused struct {
	Host string // as it was asked for, host:port
	Addr netip.Addr
	What string // an address of which kind
}

// Error says what was refused, and what whoever runs the server can do.
func (r *Refused) Error() string {
	if r.What == "a metadata address" {
		return fmt.Sprintf("%s: %s is %s, which is never dialled", r.Host, r.Addr, r.What)
	}
	return fmt.Sprintf("%s: %s is %s, which is dialled only if outbound.allow lists it", r.Host, r.Addr, r.What)
}

// Unwrap makes it a fault.Denied.
func (r *Refused) Unwrap() error { return fault.Denied }
