package iam

import (
	"cmp"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/word/fault"
)

// more tells whether there is more, and where.
type more struct {
	IsTruncated bool
	Marker      string `json:",omitzero"`
}

// page is the part of all that an operation asks for, in the order of key. A
// marker is the last key that was told, so that what is made or removed
// meanwhile moves nothing.
func page[T any](in *input, all []T, key func(*T) string) ([]T, more, error) {
	after := ""
	if in.Marker != "" {
		raw, err := base64.RawURLEncoding.DecodeString(in.Marker)
		if err != nil {
			return nil, more{}, fault.Invalid.Errorf("Invalid Marker.")
		}
		after = string(raw)
	}
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(key(&a), key(&b)) })
	from := 0
	if after != "" {
		from, _ = slices.BinarySearchFunc(all, after, func(t T, after string) int {
			if key(&t) <= after {
				return -1
			}
			return 1
		})
	}
	most := min(cmp.Or(in.MaxItems, usualItems), mostItems)
	part := all[from:]
	if len(part) <= most {
		return append([]T{}, part...), more{}, nil
	}
	part = part[:most]
	return append([]T{}, part...), more{true, base64.RawURLEncoding.EncodeToString([]byte(key(&part[most-1])))}, nil
}

// below keeps what lies under the path that an operation names.
func below[T any](in *input, all []T, path func(*T) string) []T {
	return slices.DeleteFunc(all, func(t T) bool { return !strings.HasPrefix(path(&t), in.PathPrefix) })
}

// encoded is a policy's document as IAM tells it: RFC 3986.
func encoded(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

func tagsOf(tags map[string]string) []tag {
	all := []tag{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, tag{key, tags[key]})
	}
	return all
}

type tagsOut struct {
	Tags []tag
	more
}

func tagPage(in *input, tags map[string]string) (*tagsOut, error) {
	part, m, err := page(in, tagsOf(tags), func(t *tag) string { return t.Key })
	return &tagsOut{part, m}, err
}

type boundary struct{ PermissionsBoundaryType, PermissionsBoundaryArn string }

func boundaryOf(h *access.Holder) *boundary {
	if h.Boundary == "" {
		return nil
	}
	return &boundary{"PermissionsBoundaryPolicy", h.Boundary}
}

type attached struct{ PolicyName, PolicyArn string }

func attachedTo(h *access.Holder) []attached {
	all := []attached{}
	for _, arn := range h.Attached {
		all = append(all, attached{arn[strings.LastIndexByte(arn, '/')+1:], arn})
	}
	return all
}

type attachedOut struct {
	AttachedPolicies []attached
	more
}

// attachedPage are the policies attached to somebody, below a path.
func attachedPage(in *input, h *access.Holder) (*attachedOut, error) {
	all := below(in, attachedTo(h), func(a *attached) string {
		if in.PathPrefix == "" {
			return ""
		}
		_, path, _ := strings.Cut(a.PolicyArn, ":policy")
		return strings.TrimSuffix(path, a.PolicyName)
	})
	part, m, err := page(in, all, func(a *attached) string { return a.PolicyArn })
	return &attachedOut{part, m}, err
}

type namesOut struct {
	PolicyNames []string
	more
}

// inlinePage are the names of somebody's inline policies.
func inlinePage(in *input, h *access.Holder) (*namesOut, error) {
	part, m, err := page(in, slices.Collect(maps.Keys(h.Inline)), func(n *string) string { return *n })
	return &namesOut{part, m}, err
}

// inline is a document of somebody's.
func inline(in *input, o access.Owner, h *access.Holder) (string, error) {
	text, ok := h.Inline[in.PolicyName]
	if !ok {
		return "", fault.NotFound.Errorf("The %s policy with name %s cannot be found.", o.Kind, in.PolicyName)
	}
	return encoded(text), nil
}
