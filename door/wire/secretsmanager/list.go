package secretsmanager

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/word/fault"
)

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func text(v any) string { return fmt.Sprint(v) }

// filter is one of a list's: a secret meets it when it meets one of the values.
type filter struct {
	Key    string
	Values []string
}

// meets tells whether a secret meets all filters. As in AWS, names and tags are
// compared with the case of letters, descriptions without, each from its beginning; ! is none of these.
func meets(secret vault.Secret, filters []filter) bool {
	for _, f := range filters {
		if !f.meets(secret) {
			return false
		}
	}
	return true
}

func (f filter) meets(secret vault.Secret) bool {
	wanted, any := false, false
	for _, value := range f.Values {
		value, not := strings.CutPrefix(value, "!")
		if not {
			if f.is(secret, value) {
				return false
			}
			continue
		}
		wanted = true
		any = any || f.is(secret, value)
	}
	return any || !wanted
}

func (f filter) is(secret vault.Secret, value string) bool {
	begins := func(text string) bool { return strings.HasPrefix(text, value) }
	switch f.Key {
	case "name":
		return begins(secret.Name)
	case "description":
		return strings.HasPrefix(strings.ToLower(secret.Description), strings.ToLower(value))
	case "tag-key":
		return slices.ContainsFunc(sorted(secret.Tags), begins)
	case "tag-value":
		return slices.ContainsFunc(slices.Collect(maps.Values(secret.Tags)), begins)
	case "all":
		return everywhere(secret, value)
	}
	return false // no secret here is another service's or a replica
}

// everywhere tells whether each word of a value begins a word of what is known of a secret.
func everywhere(secret vault.Secret, value string) bool {
	split := func(r rune) bool { return strings.ContainsRune(" _+=.@-/:", r) }
	var words []string
	for _, text := range append([]string{secret.Name, secret.Description}, append(sorted(secret.Tags), slices.Collect(maps.Values(secret.Tags))...)...) {
		words = append(words, strings.FieldsFunc(strings.ToLower(text), split)...)
	}
	for _, word := range strings.FieldsFunc(strings.ToLower(value), split) {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, word) }) {
			return false
		}
	}
	return true
}

type listInput struct {
	IncludePlannedDeletion bool
	MaxResults             int
	NextToken              string
	Filters                []filter
	SortOrder              string
	SortBy                 string
}

type listOutput struct {
	SecretList []*described
	NextToken  string `json:",omitzero"`
}

func (s *service) list(ctx context.Context, _ *wire.Call, in *listInput) (*listOutput, error) {
	all, err := s.Vault.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(one vault.Secret) bool {
		return !one.Gone.IsZero() && !in.IncludePlannedDeletion || !meets(one, in.Filters)
	})
	by, down := order(in.SortBy, in.SortOrder)
	part, next, err := page(all, by, down, in.NextToken, in.MaxResults, 100)
	if err != nil {
		return nil, err
	}
	out := &listOutput{SecretList: []*described{}, NextToken: next}
	for _, one := range part {
		d := s.described(one)
		d.Listed = stages(one)
		out.SecretList = append(out.SecretList, d)
	}
	return out, nil
}

// order is what a secret is sorted by: a text that compares as it should, and whether the largest comes first.
func order(by, direction string) (of func(vault.Secret) string, down bool) {
	date := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }
	switch by {
	case "last-accessed-date":
		of = func(s vault.Secret) string { return date(s.Accessed) }
	case "last-changed-date":
		of = func(s vault.Secret) string { return date(s.Changed) }
	case "name":
		of = func(s vault.Secret) string { return s.Name }
	default:
		of = func(s vault.Secret) string { return date(s.Created) }
	}
	return of, direction == "desc"
}

// page is the part of a list that comes after a token: the place of the last
// one that was told, so that nothing is left out when something goes meanwhile.
func page(all []vault.Secret, by func(vault.Secret) string, down bool, token string, size, most int) ([]vault.Secret, string, error) {
	if size <= 0 || size > most {
		size = most
	}
	place := func(s vault.Secret) string { return by(s) + "\x00" + s.Name }
	compare := func(a, b string) int {
		if down {
			a, b = b, a
		}
		return cmp.Compare(a, b)
	}
	slices.SortFunc(all, func(a, b vault.Secret) int { return compare(place(a), place(b)) })
	if token != "" {
		last, err := base64.RawURLEncoding.Strict().DecodeString(token)
		if err != nil || !strings.Contains(string(last), "\x00") {
			return nil, "", wire.Errorf("InvalidNextTokenException", "NextToken is not of this list")
		}
		all = slices.DeleteFunc(all, func(s vault.Secret) bool { return compare(place(s), string(last)) <= 0 })
	}
	if len(all) <= size {
		return all, "", nil
	}
	return all[:size], base64.RawURLEncoding.EncodeToString([]byte(place(all[size-1]))), nil
}

type versionsInput struct {
	secretInput
	MaxResults        int
	NextToken         string
	IncludeDeprecated bool
}

type version struct {
	VersionID        string    `json:"VersionId"`
	VersionStages    []string  `json:",omitzero"`
	LastAccessedDate time.Time `json:",omitzero"`
	CreatedDate      time.Time
}

type versionsOutput struct {
	ARN       string
	Name      string
	Versions  []version
	NextToken string `json:",omitzero"`
}

func (s *service) versions(ctx context.Context, _ *wire.Call, in *versionsInput) (*versionsOutput, error) {
	secret, all, err := s.Vault.Versions(ctx, in.SecretID, in.IncludeDeprecated)
	if err != nil {
		return nil, err
	}
	out := &versionsOutput{ARN: s.Vault.ARN(secret), Name: secret.Name, Versions: []version{}}
	if in.NextToken != "" {
		i := slices.IndexFunc(all, func(one vault.Version) bool { return one.ID == in.NextToken })
		if i < 0 {
			return nil, wire.Errorf("InvalidNextTokenException", "NextToken is not of this list")
		}
		all = all[i+1:]
	}
	if in.MaxResults > 0 && len(all) > in.MaxResults {
		all = all[:in.MaxResults]
		out.NextToken = all[in.MaxResults-1].ID
	}
	for _, one := range all {
		out.Versions = append(out.Versions, version{one.ID, one.Labels, one.Accessed, one.Created})
	}
	return out, nil
}

type batchInput struct {
	SecretIDList []string `json:"SecretIdList"`
	Filters      []filter
	MaxResults   int
	NextToken    string
}

type batchError struct {
	SecretID  string `json:"SecretId"`
	ErrorCode string
	Message   string
}

type batchOutput struct {
	SecretValues []*valueEntry
	NextToken    string `json:",omitzero"`
	Errors       []batchError
}

// batchGet tells values of those secrets that the caller may have.
func (s *service) batchGet(ctx context.Context, c *wire.Call, in *batchInput) (*batchOutput, error) {
	if (len(in.SecretIDList) > 0) == (len(in.Filters) > 0) {
		return nil, fault.Invalid.Errorf("You must include Filters or SecretIdList, but not both.")
	}
	if len(in.SecretIDList) > 0 && (in.MaxResults > 0 || in.NextToken != "") {
		return nil, fault.Invalid.Errorf("MaxResults and NextToken go with Filters")
	}
	out := &batchOutput{SecretValues: []*valueEntry{}, Errors: []batchError{}}
	ids := in.SecretIDList
	if len(in.Filters) > 0 {
		all, err := s.Vault.Secrets(ctx)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(one vault.Secret) bool { return !one.Gone.IsZero() || !meets(one, in.Filters) })
		by, down := order("name", "asc")
		if all, out.NextToken, err = page(all, by, down, in.NextToken, in.MaxResults, 20); err != nil {
			return nil, err
		}
		for _, one := range all {
			ids = append(ids, s.Vault.ARN(one))
		}
	}
	for _, id := range ids {
		entry, err := s.one(ctx, c, id)
		switch code := (map[fault.Kind]string{fault.NotFound: "ResourceNotFoundException", fault.Conflict: "InvalidRequestException", fault.Denied: "AccessDeniedException"})[fault.Of(err)]; {
		case err == nil:
			out.SecretValues = append(out.SecretValues, entry)
		case code == "":
			return nil, err
		default:
			out.Errors = append(out.Errors, batchError{id, code, err.Error()})
		}
	}
	return out, nil
}

func (s *service) one(ctx context.Context, c *wire.Call, id string) (*valueEntry, error) {
	in := &getInput{secretInput: secretInput{id}}
	_, keys := in.about()
	asked, err := s.ask(ctx, c, "GetSecretValue", id, keys)
	if err != nil {
		return nil, err
	}
	for k, v := range c.Context() {
		asked[0].Context[k] = v
	}
	if err := s.Gate.Allow(ctx, asked...); err != nil {
		return nil, err
	}
	return s.get(ctx, c, in)
}
