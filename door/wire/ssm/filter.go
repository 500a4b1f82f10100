package ssm

import (
	"context"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/vault"
)

// filter is one of a list's: a parameter meets it when it meets one of the values.
type filter struct {
	Key    string
	Option string
	Values []string
}

func (s *service) meets(ctx context.Context, p vault.Parameter, filters []filter) (bool, error) {
	for _, f := range filters {
		ok, err := s.meetsOne(ctx, p, f)
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func (s *service) meetsOne(ctx context.Context, p vault.Parameter, f filter) (bool, error) {
	if f.Key == "Path" {
		return below(p.Name, f)
	}
	var value string
	switch f.Key {
	case "Name":
		value = p.Name
	case "Type":
		value = p.Type
	case "KeyId":
		value = p.Key
	case "Tier":
		value = p.Tier
	case "DataType":
		value = "text"
	case "Label":
		return false, nil // no version has one here
	default:
		name, ok := strings.CutPrefix(f.Key, "tag:")
		if !ok {
			return false, wire.Errorf("InvalidFilterKey", "%.60q is no key of a filter", f.Key)
		}
		tags, err := s.vault.ParameterTags(ctx, p.Name)
		if err != nil {
			return false, err
		}
		if value, ok = tags[name]; !ok {
			return false, nil
		}
		if len(f.Values) == 0 {
			return true, nil
		}
	}
	compare, ok := map[string]func(a, b string) bool{"": func(a, b string) bool { return a == b }, "Equals": func(a, b string) bool { return a == b }, "BeginsWith": strings.HasPrefix, "Contains": strings.Contains}[f.Option]
	if !ok {
		return false, wire.Errorf("InvalidFilterOption", "%.20q is no way to compare %s", f.Option, f.Key)
	}
	return slices.ContainsFunc(f.Values, func(v string) bool { return compare(value, v) }), nil
}

// below tells whether a parameter lies below a path: directly, or at any depth.
func below(name string, f filter) (bool, error) {
	if f.Option != "" && f.Option != "OneLevel" && f.Option != "Recursive" {
		return false, wire.Errorf("InvalidFilterOption", "%.20q is no way to lie below a path: OneLevel or Recursive", f.Option)
	}
	return slices.ContainsFunc(f.Values, func(path string) bool {
		if path != "/" {
			path = strings.TrimSuffix(path, "/") + "/"
		}
		rest, ok := strings.CutPrefix(name, path)
		if path == "/" && !strings.HasPrefix(name, "/") { // one without a slash lies at the root
			rest, ok = name, true
		}
		return ok && rest != "" && (f.Option == "Recursive" || !strings.Contains(rest, "/"))
	}), nil
}
