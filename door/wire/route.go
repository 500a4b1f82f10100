package wire

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A route is one operation's method and path: segments that are literal, a
// label {X}, or, as the last one, a greedy label {X+} that takes slashes too.
type route struct {
	operation string
	method    string
	segments  []segment
}

type segment struct {
	text   string // the literal, or the label's name
	label  bool
	greedy bool
}

// routesOf compiles the routes of a rest-json model, the most telling first, so
// that the first that matches is the one that was meant.
func routesOf(m *Model) ([]route, error) {
	if m.Protocol != RestJSON {
		return nil, nil
	}
	var all []route
	for name, o := range m.Operations {
		r, err := parseRoute(name, o)
		if err != nil {
			return nil, fmt.Errorf("routes of %s: %w", m.Signing, err)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, compareRoutes)
	for i := 1; i < len(all); i++ {
		if compareRoutes(all[i-1], all[i]) == 0 {
			return nil, fmt.Errorf("routes of %s: %s and %s are alike", m.Signing, all[i-1].operation, all[i].operation)
		}
	}
	return all, nil
}

func parseRoute(name string, o *Modelled) (route, error) {
	r := route{operation: name, method: o.Method}
	if strings.ContainsAny(o.URI, "?#") {
		return r, fmt.Errorf("%s: %q: a route with a query is not read here", name, o.URI)
	}
	parts := split(o.URI)
	for i, text := range parts {
		s := segment{text: text}
		if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") {
			s.label = true
			s.text, s.greedy = strings.CutSuffix(text[1:len(text)-1], "+")
		}
		if strings.ContainsAny(s.text, "{}") || s.greedy && i != len(parts)-1 {
			return r, fmt.Errorf("%s: %q: a greedy label must come last, and a label fill its segment", name, o.URI)
		}
		r.segments = append(r.segments, s)
	}
	return r, nil
}

// compareRoutes puts a literal before a label before a greedy label, segment by segment.
func compareRoutes(a, b route) int {
	if c := strings.Compare(a.method, b.method); c != 0 {
		return c
	}
	rank := func(s segment) int {
		switch {
		case s.greedy:
			return 2
		case s.label:
			return 1
		}
		return 0
	}
	for i := range min(len(a.segments), len(b.segments)) {
		x, y := a.segments[i], b.segments[i]
		if c := rank(x) - rank(y); c != 0 {
			return c
		}
		if c := strings.Compare(x.text, y.text); c != 0 && !x.label {
			return c
		}
	}
	return len(b.segments) - len(a.segments)
}

// match finds the operation that a raw path means, and its labels, each
// decoded once. A slash at the end is as good as none.
func (m *Model) match(method, path string) (operation string, labels map[string]string, err error) {
	routes, err := m.routes()
	if err != nil {
		return "", nil, err
	}
	parts := split(path)
	for _, part := range parts {
		if part == "" || part == "." || part == ".." {
			return "", nil, nil // a signature does not tell such paths apart
		}
	}
	for _, r := range routes {
		if r.method != method {
			continue
		}
		if labels, ok := r.take(parts); ok {
			return r.operation, labels, nil
		}
	}
	return "", nil, nil
}

func (r route) take(parts []string) (map[string]string, bool) {
	if len(parts) < len(r.segments) {
		return nil, false
	}
	var labels map[string]string
	for i, s := range r.segments {
		text := parts[i]
		if s.greedy {
			text = strings.Join(parts[i:], "/")
		}
		if !s.label {
			if text != s.text {
				return nil, false
			}
			continue
		}
		decoded, err := url.PathUnescape(text)
		if err != nil || decoded == "" {
			return nil, false
		}
		if labels == nil {
			labels = make(map[string]string, 2)
		}
		labels[s.text] = decoded
		if s.greedy {
			return labels, true
		}
	}
	return labels, len(parts) == len(r.segments)
}

// split takes a raw path apart. Nothing is cleaned: what was not meant to be
// one segment stays another, and matches no route.
func split(path string) []string {
	path = strings.TrimPrefix(path, "/")
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}
