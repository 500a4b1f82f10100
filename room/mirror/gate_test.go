package mirror

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/word/fault"
)

// The way that git has to a forge leads to that forge alone, for who knows its password, by the server's own dialer.
func TestGate(t *testing.T) {
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "forge ", r.Header.Get("Proxy-Authorization"))
	}))
	defer forge.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { t.Error("another host was reached") }))
	defer other.Close()
	m := &Mirror{config: Config{Dial: (&net.Dialer{}).DialContext}}
	g, err := m.newGate(forge.URL + "/acme/shop.git")
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	get := func(proxy, address string) string {
		t.Helper()
		u, err := url.Parse(proxy)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(u), DisableKeepAlives: true}}
		response, err := client.Get(address)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		line, _ := bufio.NewReader(response.Body).ReadString('\n') // an answer without a line ends so
		return fmt.Sprint(response.StatusCode, " ", line)
	}
	nobody := strings.Replace(g.address, g.pass, "wrong", 1)
	for _, c := range []struct{ proxy, address, want string }{
		{g.address, forge.URL, "200 forge "},
		{nobody, forge.URL, "407 "},
		{g.address, other.URL, "502 the forge sends elsewhere"},
		{g.address, strings.Replace(other.URL, "http:", "https:", 1), "Bad Gateway"},
		{nobody, strings.Replace(other.URL, "http:", "https:", 1), "Proxy Authentication Required"},
	} {
		if got := get(c.proxy, c.address); !strings.Contains(got, c.want) || strings.Contains(got, "Basic") {
			t.Errorf("%s: %s, want %s", c.address, got, c.want)
		}
	}
	if err := g.said(); fault.Of(err) != fault.Denied {
		t.Error(err)
	}
	// What dialling refuses is said.
	m.config.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, fault.Denied.Errorf("it is within our network")
	}
	closed, err := m.newGate(forge.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer closed.close()
	if got := get(closed.address, forge.URL); !strings.Contains(got, "within our network") || fault.Of(closed.said()) != fault.Denied {
		t.Error(got, closed.said())
	}
	// More than may be fetched does not come.
	closed.dial = (&net.Dialer{}).DialContext
	closed.left.Store(10)
	if got := get(closed.address, forge.URL); strings.Contains(got, "forge") || fault.Of(closed.said()) != fault.Limit {
		t.Error(got, closed.said())
	}
}
