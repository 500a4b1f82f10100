package egress

import (
	"net"
	"net/netip"
	"strconv"
	"testing"
)

// Allowed is what rules say about a destination as a request writes it.
func Allowed(t testing.TB, r Rules, host string, number int) bool {
	c, err := r.compile()
	if err != nil {
		t.Fatal(err)
	}
	to, err := targetOf(net.JoinHostPort(host, strconv.Itoa(number)), 0)
	return err == nil && c.judge(to.host, netip.Addr{}, to.port) == allowed
}
