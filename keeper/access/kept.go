package access

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// What is not a user is kept as its JSON, by its kind and its name. IAM's names
// differ by more than case, so there is one of a name in lower case.
type kind string

const (
	aGroup    kind = "group"
	aRole     kind = "role"
	aPolicy   kind = "policy"
	aProfile  kind = "instance profile"
	aProvider kind = "OpenID Connect provider"
	aDevice   kind = "virtual MFA device"
	anAlias   kind = "account alias"
	aSigner   kind = "signing key"
)

// A Holder is what users, groups and roles have in common: what they are given.
type Holder struct {
	Path     string            // / or /a/b/
	Tags     map[string]string `json:",omitzero"`
	Boundary string            `json:",omitzero"` // ARN of the policy that bounds; "" is none
	Attached []string          `json:",omitzero"` // ARNs of managed policies, in the order of attaching
	Inline   map[string]string `json:",omitzero"` // documents, as they came, by name
}

// Group is users who are given the same.
type Group struct {
	Name, ID string
	Created  time.Time
	Members  []string `json:",omitzero"` // users, by name
	Holder
}

// Role is what others become for a while.
type Role struct {
	Name, ID    string
	Created     time.Time
	Description string
	Trust       string // the policy that says who may assume it, as it came
	Longest     int    // seconds that a session of it lasts at most
	Holder
}

// Version is one text of a policy.
type Version struct {
	ID       string // v1
	Document string
	Created  time.Time
}

// Policy is a managed policy.
type Policy struct {
	Name, ID, Path   string
	Description      string
	Created, Updated time.Time
	Default          string // version
	Versions         []Version
	Next             int  // number of the next version
	Ours             bool // one that comes with Haechi and nobody changes
	Tags             map[string]string
}

// Document is the text that counts.
func (p *Policy) Document() string {
	for _, v := range p.Versions {
		if v.ID == p.Default {
			return v.Document
		}
	}
	return ""
}

// Profile is an instance profile: what hands a role to a machine.
type Profile struct {
	Name, ID, Path string
	Created        time.Time
	Role           string `json:",omitzero"` // at most one, by name
	Tags           map[string]string
}

// Provider is an OpenID Connect provider whose tokens roles may trust.
type Provider struct {
	URL         string   // without https://
	Clients     []string // audiences that tokens may be for
	Thumbprints []string `json:",omitzero"` // kept for those who set them; TLS is verified by the system's authorities
	Created     time.Time
	Tags        map[string]string
	Keys        string    `json:",omitzero"` // the JWKS as last fetched, or as it was given
	Fetched     time.Time // when
	Offline     bool      // the keys were given: nothing is fetched
}

// Device is a virtual MFA device.
type Device struct {
	Name, Path string
	Seed       string // sealed
	Created    time.Time
	User       string    `json:",omitzero"` // whose it is, once it is enabled
	Enabled    time.Time // when
	Step       int64     // the last time step whose code was taken
	Tags       map[string]string
}

// Owner is a user, group or role, by name.
type Owner struct {
	Kind OwnerKind
	Name string
}

// OwnerKind is what can hold policies.
type OwnerKind string

// What can hold policies.
const (
	OfUser  OwnerKind = "user"
	OfGroup OwnerKind = "group"
	OfRole  OwnerKind = "role"
)

// UserNamed, GroupNamed and RoleNamed are owners.
func UserNamed(name string) Owner  { return Owner{OfUser, name} }
func GroupNamed(name string) Owner { return Owner{OfGroup, name} }
func RoleNamed(name string) Owner  { return Owner{OfRole, name} }

func missing(what kind, name string) error {
	switch what {
	case aPolicy:
		return fault.NotFound.Errorf("Policy %s does not exist or is not attachable.", name)
	case aProvider:
		return fault.NotFound.Errorf("OpenIDConnect Provider not found for arn %s", name)
	case aDevice:
		return fault.NotFound.Errorf("VirtualMFADevice with serial number %s doesn't exist.", name)
	case aProfile:
		return fault.NotFound.Errorf("Instance Profile %s cannot be found.", name)
	}
	return fault.NotFound.Errorf("The %s with name %s cannot be found.", what, name)
}

// find is what is kept under exactly that name.
func find[T any](tx *db.Tx, what kind, name string) (v T, err error) {
	text, err := db.One(tx, db.Value[string], "SELECT doc FROM access_things WHERE kind = ? AND folded = ? AND name = ?", string(what), strings.ToLower(name), name)
	if fault.Of(err) == fault.NotFound {
		return v, missing(what, name)
	}
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal([]byte(text), &v)
}

// list is all of a kind, by name.
func list[T any](tx *db.Tx, what kind) ([]T, error) {
	return db.All(tx, func(scan db.Scan) (v T, err error) {
		var text string
		if err = scan(&text); err == nil {
			err = json.Unmarshal([]byte(text), &v)
		}
		return v, err
	}, "SELECT doc FROM access_things WHERE kind = ? ORDER BY folded", string(what))
}

// create keeps what is new.
func create(tx *db.Tx, what kind, name string, v any) error {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	n, err := tx.Exec("INSERT INTO access_things (kind, folded, name, doc) VALUES (?, ?, ?, ?) ON CONFLICT (kind, folded) DO NOTHING", string(what), strings.ToLower(name), name, string(text))
	if err == nil && n == 0 {
		return fault.Exists.Errorf("%s with name %s already exists.", titled(string(what)), name)
	}
	return err
}

func titled(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// keep writes what was there.
func keep(tx *db.Tx, what kind, name string, v any) error {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = tx.Exec("UPDATE access_things SET doc = ? WHERE kind = ? AND folded = ?", string(text), string(what), strings.ToLower(name))
	return err
}

func remove(tx *db.Tx, what kind, name string) error {
	_, err := tx.Exec("DELETE FROM access_things WHERE kind = ? AND folded = ?", string(what), strings.ToLower(name))
	return err
}

// edit changes what is kept under a name.
func edit[T any](tx *db.Tx, what kind, name string, f func(*T) error) error {
	v, err := find[T](tx, what, name)
	if err != nil {
		return err
	}
	if err := f(&v); err != nil {
		return err
	}
	return keep(tx, what, name, v)
}

// userDoc is what is kept of a user beside the columns.
type userDoc struct {
	Holder
	PasswordSet time.Time `json:",omitzero"`
	MustChange  bool      `json:",omitzero"`
	Recovery    []string  `json:",omitzero"` // hashes of codes that stand in for a device, each once
}

func findUser(tx *db.Tx, name string) (d userDoc, err error) {
	text, err := db.One(tx, db.Value[string], "SELECT doc FROM access_users WHERE name = ?", name)
	if fault.Of(err) == fault.NotFound {
		return d, cmp.Or(userIn(tx, name), missing("user", name))
	}
	if err != nil {
		return d, err
	}
	if d, err = readUser(text); err != nil {
		return d, err
	}
	d.Attached, err = attachedTo(tx, name)
	return d, err
}

func readUser(text string) (d userDoc, err error) {
	d.Path = "/"
	if text != "" { // a user of before there were documents has none
		err = json.Unmarshal([]byte(text), &d)
	}
	return d, err
}

func attachedTo(tx *db.Tx, user string) (arns []string, err error) {
	names, err := db.All(tx, db.Value[string], "SELECT policy FROM access_policies WHERE user_name = ? ORDER BY policy", user)
	for _, name := range names {
		arns = append(arns, policyARN(name))
	}
	return arns, err
}

func keepUser(tx *db.Tx, name string, d userDoc) error {
	attached := d.Attached
	d.Attached = nil
	text, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE access_users SET doc = ? WHERE name = ?", string(text), name); err != nil {
		return err
	}
	if _, err := tx.Exec("DELETE FROM access_policies WHERE user_name = ?", name); err != nil {
		return err
	}
	for _, arn := range attached {
		if _, err := tx.Exec("INSERT INTO access_policies (user_name, policy) VALUES (?, ?)", name, policyName(arn)); err != nil {
			return err
		}
	}
	return nil
}

func editUser(tx *db.Tx, name string, f func(*userDoc) error) error {
	d, err := findUser(tx, name)
	if err != nil {
		return err
	}
	if err := f(&d); err != nil {
		return err
	}
	return keepUser(tx, name, d)
}

// editHolder changes what somebody holds.
func (a *Access) editHolder(ctx context.Context, o Owner, f func(*db.Tx, *Holder) error) error {
	return a.change(ctx, func(tx *db.Tx) error {
		switch o.Kind {
		case OfUser:
			return editUser(tx, o.Name, func(d *userDoc) error { return f(tx, &d.Holder) })
		case OfGroup:
			return edit(tx, aGroup, o.Name, func(g *Group) error { return f(tx, &g.Holder) })
		default:
			return edit(tx, aRole, o.Name, func(r *Role) error { return f(tx, &r.Holder) })
		}
	})
}

var (
	longName   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w+=,.@-]{1,128}$`) })
	pathForm   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^/([!-~]+/)?$`) })
	tagText    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`) })
	mostTags   = 50
	mostGroups = 10
)

// named checks a name and a path; "" as a path is /.
func named(what kind, name string, path *string) error {
	form, most := longName, 128
	if what == "user" || what == aRole {
		form, most = userName, 64
	}
	if !form().MatchString(name) {
		return fault.Invalid.Errorf("a %s's name is 1 to %d letters, digits and _+=,.@-, not %q", what, most, name)
	}
	if path == nil {
		return nil
	}
	if *path == "" {
		*path = "/"
	}
	if len(*path) > 512 || !pathForm().MatchString(*path) || strings.Contains(*path, "//") {
		return fault.Invalid.Errorf("a path begins and ends with a slash, as /team/, not %q", *path)
	}
	return nil
}

// tagged is tags after setting and dropping some.
func tagged(tags map[string]string, set map[string]string, drop []string) (map[string]string, error) {
	next := map[string]string{}
	for k, v := range tags {
		next[k] = v
	}
	for _, k := range drop {
		delete(next, k)
	}
	for k, v := range set {
		if n := len([]rune(k)); n < 1 || n > 128 || len([]rune(v)) > 256 || !tagText().MatchString(k) || !tagText().MatchString(v) || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return nil, fault.Invalid.Errorf("a tag has a key of 1 to 128 letters, digits and _.:/=+-@ that does not begin with aws:, and a value of at most 256, not %q", k)
		}
		for have := range next {
			if have != k && strings.EqualFold(have, k) {
				return nil, fault.Invalid.Errorf("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
			}
		}
		next[k] = v
	}
	if len(next) > mostTags {
		return nil, quota("TagsPerResource", mostTags)
	}
	return next, nil
}

func quota(of string, most int) error {
	return fault.Limit.Errorf("Cannot exceed quota for %s: %d", of, most)
}

// without is list without one element; ok tells whether it was there.
func without(list []string, one string) (rest []string, ok bool) {
	i := slices.Index(list, one)
	if i < 0 {
		return list, false
	}
	return slices.Delete(slices.Clone(list), i, i+1), true
}
