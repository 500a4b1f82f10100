package iac

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/lang/guard"
)

var composeName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)^(docker-)?compose([.-][^/]*)?\.ya?ml$`) })

// isCompose tells by the name, or by services that say what they run.
func isCompose(name string, root *value) bool {
	services := root.Get("services")
	if !services.IsMap() {
		return false
	}
	if composeName().MatchString(path.Base(name)) {
		return true
	}
	for _, s := range services.Members() {
		if s.Get("image") == nil && s.Get("build") == nil && s.Get("extends") == nil {
			return false
		}
	}
	return services.Len() > 0 && root.Get("version") != nil && root.Get("jobs") == nil
}

// compose is the document of a compose file: its services.
func compose(name string, root *value) *guard.Document {
	var all []member
	for key, service := range root.Get("services").Members() {
		id, _ := key.Text()
		if !service.IsMap() {
			continue
		}
		var m []member
		for n, v := range service.Members() {
			field, _ := n.Text()
			m = append(m, pair(n.Clone(), composeField(field, interpolated(v))))
		}
		all = append(all, resource(id, "Haechi::Compose::Service", key, guard.NewMap(m...).As(service)))
	}
	return guard.Made(guard.NewMap(pair(text("Resources"), guard.NewMap(all...))), name)
}

// interpolated is v with its variables put in, as far as they have a default.
func interpolated(v *value) *value {
	switch {
	case v.IsMap():
		var m []member
		for n, x := range v.Members() {
			m = append(m, pair(n.Clone(), interpolated(x)))
		}
		return guard.NewMap(m...).As(v)
	case v.IsList():
		var all []*value
		for _, x := range v.Items() {
			all = append(all, interpolated(x))
		}
		return guard.NewList(all...).As(v)
	}
	t, ok := v.Text()
	if !ok || !strings.Contains(t, "$") {
		return v.Clone()
	}
	return composeText(t).As(v)
}

var composeVariable = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(:?[-+?][^}]*)?\}|([A-Za-z_][A-Za-z0-9_]*))`)
})

func composeText(t string) *value {
	var all []piece
	last := 0
	for _, m := range composeVariable().FindAllStringSubmatchIndex(t, 1000) {
		all = append(all, piece{text: t[last:m[0]]})
		last = m[1]
		if t[m[0]:m[1]] == "$$" {
			all = append(all, piece{text: "$"})
			continue
		}
		name, alternative := "", ""
		if m[2] >= 0 {
			name = t[m[2]:m[3]]
		} else {
			name = t[m[6]:m[7]]
		}
		if m[4] >= 0 {
			alternative = strings.TrimPrefix(t[m[4]:m[5]], ":")
		}
		if v, ok := strings.CutPrefix(alternative, "-"); ok {
			all = append(all, piece{text: v})
			continue
		}
		all = append(all, piece{unknown: &guard.Unknown{Why: "the variable " + name + " has no default"}})
	}
	all = append(all, piece{text: t[last:]})
	r := wholeText(all, func() *value { return text(t) })
	if u := r.Unknown(); u != nil {
		u.As = variable(t)
	}
	if whole, ok := r.Text(); ok && len(all) > 1 { // ${PRIVILEGED:-true} is a truth value to compose
		switch whole {
		case "true", "false":
			return guard.NewBool(whole == "true")
		}
	}
	return r
}

// variable is what a text with variables is to rules that look into it.
func variable(t string) *value { return guard.NewMap(pair(text("Variable"), text(t))) }

// composeField is a field in its long form.
func composeField(name string, v *value) *value {
	switch name {
	case "environment", "labels", "sysctls", "extra_hosts":
		return pairs(v)
	case "ports":
		return eachText(v, port)
	case "volumes":
		return eachText(v, volume)
	}
	return v
}

// pairs makes a map of a list of NAME=value.
func pairs(v *value) *value {
	if !v.IsList() {
		return v
	}
	var m []member
	for _, x := range v.Items() {
		if u := x.Unknown(); u != nil && len(u.Parts) > 0 {
			if name, first, ok := strings.Cut(u.Parts[0], "="); ok {
				parts := append([]string{first}, u.Parts[1:]...)
				m = append(m, pair(text(name).As(x), guard.NewUnknown(guard.Unknown{Why: u.Why, Present: true, Parts: parts, As: u.As}).As(x)))
			}
			continue
		}
		t, _ := x.Text()
		name, content, ok := strings.Cut(t, "=")
		if !ok {
			m = append(m, pair(text(name).As(x), guard.NewUnknown(guard.Unknown{Why: "the variable " + name + " is the caller's", Present: true, As: variable(name)}).As(x)))
			continue
		}
		m = append(m, pair(text(name).As(x), text(content).As(x)))
	}
	return guard.NewMap(m...).As(v)
}

// eachText makes a map of each text in a list.
func eachText(v *value, long func(string, *value) *value) *value {
	if !v.IsList() {
		return v
	}
	var all []*value
	for _, x := range v.Items() {
		t, ok := x.Scalar()
		if !ok {
			all = append(all, x.Clone())
			continue
		}
		all = append(all, long(t, x))
	}
	return guard.NewList(all...).As(v)
}

// port is [host_ip:][published:]target[/protocol].
func port(t string, at *value) *value {
	t, protocol, ok := strings.Cut(t, "/")
	if !ok {
		protocol = "tcp"
	}
	var ip, published string
	target := t
	if i := strings.LastIndex(t, ":"); i >= 0 {
		published, target = t[:i], t[i+1:]
		if j := strings.LastIndex(published, ":"); j >= 0 {
			ip, published = strings.Trim(published[:j], "[]"), published[j+1:]
		}
	}
	m := []member{named("target", numeric(target).As(at)), named("protocol", text(protocol).As(at))}
	if published != "" {
		m = append(m, named("published", numeric(published).As(at)))
	}
	if ip != "" {
		m = append(m, named("host_ip", text(ip).As(at)))
	}
	return guard.NewMap(m...).As(at)
}

func numeric(s string) *value {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return guard.NewInt(n)
	}
	return text(s)
}

// volume is [source:]target[:mode].
func volume(t string, at *value) *value {
	parts := strings.Split(t, ":")
	if len(parts) > 1 && len(parts[0]) == 1 && strings.HasPrefix(parts[1], `\`) { // C:\…
		parts = append([]string{parts[0] + ":" + parts[1]}, parts[2:]...)
	}
	if len(parts) == 1 {
		return guard.NewMap(named("type", text("volume").As(at)), named("target", text(t).As(at))).As(at)
	}
	kind := "volume"
	if strings.HasPrefix(parts[0], "/") || strings.HasPrefix(parts[0], ".") || strings.HasPrefix(parts[0], "~") || strings.Contains(parts[0], `\`) {
		kind = "bind"
	}
	m := []member{named("type", text(kind).As(at)), named("source", text(parts[0]).As(at)), named("target", text(parts[1]).As(at))}
	if len(parts) > 2 {
		for mode := range strings.SplitSeq(parts[2], ",") {
			if mode == "ro" {
				m = append(m, named("read_only", guard.NewBool(true).As(at)))
			}
		}
	}
	return guard.NewMap(m...).As(at)
}
