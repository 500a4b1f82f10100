package vault

import (
	"context"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/word/fault"
)

// A Reference names a value as a buildspec does: secret-id:json-key:version-stage:version-id, of which only the first must be there.
type Reference struct {
	Secret  string // a name or an ARN
	Key     string // member of the value, which is JSON then
	Label   string
	Version string
}

// ParseReference reads one.
func ParseReference(text string) (r Reference, err error) {
	rest := text
	if strings.HasPrefix(text, "arn:") {
		parts := strings.SplitN(text, ":", 8)
		if len(parts) < 7 {
			return r, fault.Invalid.Errorf("%q is not the ARN of a secret", text)
		}
		r.Secret, rest = strings.Join(parts[:7], ":"), ""
		if len(parts) == 8 {
			rest = parts[7]
		}
	} else {
		r.Secret, rest, _ = strings.Cut(rest, ":")
	}
	parts := strings.Split(rest, ":")
	if len(parts) > 3 {
		return r, fault.Invalid.Errorf("%q has more parts than secret-id:json-key:version-stage:version-id", text)
	}
	parts = append(parts, "", "", "")
	r.Key, r.Label, r.Version = parts[0], parts[1], parts[2]
	switch {
	case r.Secret == "":
		return r, fault.Invalid.Errorf("%q names no secret", text)
	case r.Label != "" && r.Version != "":
		return r, fault.Invalid.Errorf("%q names a version-stage and a version-id: one of the two says which version is meant", text)
	}
	return r, nil
}

// Get tells the value that a reference means. Whether who asks may have it, the caller knows.
func (v *Vault) Get(ctx context.Context, reference string) (seal.Secret, error) {
	r, err := ParseReference(reference)
	if err != nil {
		return "", err
	}
	t, err := v.Value(ctx, r.Secret, r.Version, r.Label)
	if err != nil {
		return "", fault.Of(err).Errorf("secret %s: %w", r.Secret, err)
	}
	if t.Value.Binary {
		return "", fault.Invalid.Errorf("secret %s is binary: an environment variable cannot hold it", r.Secret)
	}
	if r.Key == "" {
		return t.Value.Secret, nil
	}
	text, err := member(t.Value.Secret, r.Key)
	if err != nil {
		return "", fault.Invalid.Errorf("secret %s: %w", r.Secret, err)
	}
	return text, nil
}

func member(value seal.Secret, key string) (seal.Secret, error) {
	var all map[string]jsontext.Value
	if json.Unmarshal([]byte(value.Reveal()), &all) != nil { // what is wrong with it would tell of it
		return "", fault.Invalid.Errorf("its value is not a JSON object, so it has no member %q", key)
	}
	one, ok := all[key]
	if !ok {
		return "", fault.NotFound.Errorf("its value has no member %q", key)
	}
	if one.Kind() != '"' {
		return seal.Secret(one), nil
	}
	var text string
	err := json.Unmarshal(one, &text)
	return seal.Secret(text), err
}

// members are a value, and those of its members that are text.
func members(value Value) []string {
	all := []string{value.Secret.Reveal(), strings.TrimSpace(value.Secret.Reveal())}
	var object map[string]jsontext.Value
	if value.Binary || json.Unmarshal([]byte(all[0]), &object) != nil {
		return all
	}
	for _, one := range object {
		var text string
		if one.Kind() == '"' && json.Unmarshal(one, &text) == nil {
			all = append(all, text)
		}
	}
	return all
}
