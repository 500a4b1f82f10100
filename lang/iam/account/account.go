// Package account answers from a snapshot of an AWS account who can do what, through which roles, and how they could get more.
//
// The snapshot is what GetAccountAuthorizationDetails answers: users, groups,
// roles and the policies attached to them. It says nothing of resources, so
// that of policies of buckets and queues this knows nothing.
package account

import (
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// The limits of a snapshot: an account has at most 5,000 users and 5,000 roles.
const (
	maxSnapshot   = 256 << 20
	maxPrincipals = 10_000
)

// An Account is a snapshot, its policies compiled. It does not change once parsed.
type Account struct {
	ID         string
	Principals []*Principal // users and roles, by ARN
	groups     []*group
	policies   map[string]*iam.Policy // managed, by ARN
	// Unread are policies that are attached to somebody and that the snapshot
	// does not hold or that cannot be read, each with a reason: they allow
	// nothing here, whatever they do in truth.
	Unread []diag.Place
	grants []finding.Finding // what is odd about its policies, as findings
	idle   []finding.Finding // grants that nobody has
}

// A Principal is a user or a role.
type Principal struct {
	ARN, Name string
	Role      bool
	LastUsed  string // of a role, RFC 3339, or "" where it was not in the time that AWS keeps

	policies iam.Policies // its own
	trust    *iam.Policy  // of a role
	groups   []*group
	managed  []string // ARNs of what is attached to it
	request  iam.Request
	profiles bool // an instance can run as this role
}

type group struct {
	arn, name string
	policies  []*iam.Policy
	managed   []string
}

// The members of the snapshot that matter here.
type (
	snapshot struct {
		Users       []userDetail   `json:"UserDetailList"`
		Groups      []groupDetail  `json:"GroupDetailList"`
		Roles       []roleDetail   `json:"RoleDetailList"`
		Policies    []policyDetail `json:"Policies"`
		IsTruncated bool           `json:"IsTruncated"`
	}
	userDetail struct {
		Name     string     `json:"UserName"`
		ID       string     `json:"UserId"`
		ARN      string     `json:"Arn"`
		Inline   []inline   `json:"UserPolicyList"`
		Groups   []string   `json:"GroupList"`
		Attached []attached `json:"AttachedManagedPolicies"`
		Boundary *boundary  `json:"PermissionsBoundary"`
		Tags     []tag      `json:"Tags"`
	}
	groupDetail struct {
		Name     string     `json:"GroupName"`
		ARN      string     `json:"Arn"`
		Inline   []inline   `json:"GroupPolicyList"`
		Attached []attached `json:"AttachedManagedPolicies"`
	}
	roleDetail struct {
		Name     string           `json:"RoleName"`
		ID       string           `json:"RoleId"`
		ARN      string           `json:"Arn"`
		Trust    jsontext.Value   `json:"AssumeRolePolicyDocument"`
		Profiles []jsontext.Value `json:"InstanceProfileList"`
		Inline   []inline         `json:"RolePolicyList"`
		Attached []attached       `json:"AttachedManagedPolicies"`
		Boundary *boundary        `json:"PermissionsBoundary"`
		Tags     []tag            `json:"Tags"`
		LastUsed struct {
			Date string `json:"LastUsedDate"`
		} `json:"RoleLastUsed"`
	}
	policyDetail struct {
		ARN      string `json:"Arn"`
		Versions []struct {
			Document jsontext.Value `json:"Document"`
			Default  bool           `json:"IsDefaultVersion"`
		} `json:"PolicyVersionList"`
	}
	inline struct {
		Name     string         `json:"PolicyName"`
		Document jsontext.Value `json:"PolicyDocument"`
	}
	attached struct {
		ARN string `json:"PolicyArn"`
	}
	boundary struct {
		ARN string `json:"PermissionsBoundaryArn"`
	}
	tag struct{ Key, Value string }
)

// administrator is the one managed policy of AWS that everybody knows by heart.
const administrator = "arn:aws:iam::aws:policy/AdministratorAccess"

// Parse reads a snapshot: the answer of GetAccountAuthorizationDetails, whole.
// Documents may be objects, as the aws command writes them, or the text that
// the API answers. name says where it comes from.
func Parse(name string, text []byte) (*Account, error) {
	if len(text) > maxSnapshot {
		return nil, fault.Invalid.Wrap(diag.Errorf(diag.Place{File: name}, "a snapshot of %d MB, %d are allowed", len(text)>>20, maxSnapshot>>20))
	}
	var s snapshot
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fault.Invalid.Wrap(placed(name, text, err))
	}
	wrong := func(hint, format string, a ...any) error {
		return fault.Invalid.Wrap(diag.Errorf(diag.Place{File: name}, format, a...).WithHint("%s", hint))
	}
	const command = "aws iam get-account-authorization-details writes one"
	switch {
	case s.IsTruncated:
		return nil, wrong("fetch all pages: the aws command does, unless it is told not to", "the snapshot is cut off (IsTruncated)")
	case len(s.Users)+len(s.Roles) == 0:
		return nil, wrong(command, "there is no user and no role in this snapshot")
	case len(s.Users)+len(s.Roles) > maxPrincipals:
		return nil, wrong("", "%d users and roles, %d are allowed", len(s.Users)+len(s.Roles), maxPrincipals)
	}
	b := builder{name: name, account: &Account{policies: map[string]*iam.Policy{}}}
	if err := b.build(&s); err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	return b.account, nil
}

// placed gives an error of the JSON its place.
func placed(name string, text []byte, err error) error {
	at := 0
	switch e := err.(type) {
	case *jsontext.SyntacticError:
		at = int(e.ByteOffset)
	case *json.SemanticError:
		at = int(e.ByteOffset)
	}
	return diag.Errorf(diag.At(name, text, at), "no snapshot of an account: %v", err).In(text)
}

type builder struct {
	name    string
	account *Account
	missing map[string]bool
}

func (b *builder) build(s *snapshot) error {
	b.missing = map[string]bool{}
	all, err := iam.Parse(administrator, []byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`))
	if err != nil {
		return err
	}
	b.account.policies[administrator] = all
	for _, p := range s.Policies {
		for _, v := range p.Versions {
			if v.Default {
				b.account.policies[p.ARN] = b.compile(iam.Identity, p.ARN, "AwsIamPolicy", p.ARN, v.Document)
			}
		}
	}
	groups := map[string]*group{}
	for _, g := range s.Groups {
		one := &group{arn: g.ARN, name: g.Name}
		one.policies, one.managed = b.attached(g.ARN, "AwsIamGroup", g.Inline, g.Attached)
		groups[g.Name] = one
		b.account.groups = append(b.account.groups, one)
	}
	for i := range s.Users {
		if err := b.user(&s.Users[i], groups); err != nil {
			return err
		}
	}
	for i := range s.Roles {
		if err := b.role(&s.Roles[i]); err != nil {
			return err
		}
	}
	b.idle(s)
	slices.SortFunc(b.account.Principals, func(a, b *Principal) int { return strings.Compare(a.ARN, b.ARN) })
	for i := 1; i < len(b.account.Principals); i++ {
		if b.account.Principals[i].ARN == b.account.Principals[i-1].ARN {
			return diag.Errorf(diag.Place{File: b.name}, "%s is there twice", b.account.Principals[i].ARN)
		}
	}
	return nil
}

// idle finds the account's own policies that are attached to nobody and bound
// nobody, and groups with rights and without members: whoever is given one
// gets rights that nobody has looked at for long.
func (b *builder) idle(s *snapshot) {
	used := map[string]bool{}
	use := func(all []attached, limit *boundary) {
		for _, a := range all {
			used[a.ARN] = true
		}
		if limit != nil {
			used[limit.ARN] = true
		}
	}
	members := map[string]bool{}
	for _, u := range s.Users {
		use(u.Attached, u.Boundary)
		for _, g := range u.Groups {
			members[g] = true
		}
	}
	for _, r := range s.Roles {
		use(r.Attached, r.Boundary)
	}
	for _, g := range s.Groups {
		use(g.Attached, nil)
		if !members[g.Name] && len(g.Inline)+len(g.Attached) > 0 {
			b.account.idle = append(b.account.idle, note(finding.Low, "unused-group", "AwsIamGroup", g.ARN, g.Name+" is a group with rights and without members",
				"Nobody is in the group; whoever is put there gets what it grants.", "Delete the group, or take its policies away."))
		}
	}
	for _, p := range s.Policies {
		if !used[p.ARN] && !strings.Contains(p.ARN, ":iam::aws:") {
			b.account.idle = append(b.account.idle, note(finding.Low, "unused-policy", "AwsIamPolicy", p.ARN, p.ARN[strings.LastIndexByte(p.ARN, '/')+1:]+" is a policy that nobody has",
				"The policy is attached to no user, group or role, and is nobody's boundary.", "Delete the policy."))
		}
	}
}

func (b *builder) user(u *userDetail, groups map[string]*group) error {
	p := &Principal{ARN: u.ARN, Name: u.Name}
	p.policies.Identity, p.managed = b.attached(u.ARN, "AwsIamUser", u.Inline, u.Attached)
	for _, name := range u.Groups {
		if g := groups[name]; g != nil {
			p.groups = append(p.groups, g)
			p.policies.Identity = append(p.policies.Identity, g.policies...)
		} else {
			b.unread(u.ARN, "its group "+name+" is not in the snapshot")
		}
	}
	return b.add(p, u.Boundary, u.Tags, iam.Principal{ARN: u.ARN, ID: u.ID, Type: "User", Name: u.Name})
}

func (b *builder) role(r *roleDetail) error {
	p := &Principal{ARN: r.ARN, Name: r.Name, Role: true, LastUsed: r.LastUsed.Date, profiles: len(r.Profiles) > 0}
	p.policies.Identity, p.managed = b.attached(r.ARN, "AwsIamRole", r.Inline, r.Attached)
	p.trust = b.compile(iam.Trust, r.ARN, "AwsIamRole", "trust policy", r.Trust)
	return b.add(p, r.Boundary, r.Tags, iam.Principal{ARN: r.ARN, ID: r.ID, Type: "AssumedRole"})
}

func (b *builder) add(p *Principal, limit *boundary, tags []tag, who iam.Principal) error {
	parts := strings.SplitN(p.ARN, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" || parts[4] == "" {
		return diag.Errorf(diag.Place{File: b.name}, "%q is no ARN of a user or role", p.ARN)
	}
	a := b.account
	if a.ID == "" {
		a.ID = parts[4]
	}
	if a.ID != parts[4] {
		return diag.Errorf(diag.Place{File: b.name}, "a snapshot is of one account, this has %s and %s", a.ID, parts[4])
	}
	who.Account = a.ID
	if limit != nil && limit.ARN != "" {
		p.policies.Boundary = []*iam.Policy{}
		if one := b.managed(p.ARN, limit.ARN); one != nil {
			p.policies.Boundary = append(p.policies.Boundary, one)
		}
	}
	context := map[string][]string{}
	for _, t := range tags {
		context["aws:principaltag/"+strings.ToLower(t.Key)] = []string{t.Value}
	}
	p.request = iam.Request{Principal: who, Context: context}.Known()
	delete(p.request.Context, "aws:resourceaccount") // it depends on what is asked for
	a.Principals = append(a.Principals, p)
	return nil
}

func (b *builder) attached(owner, kind string, inline []inline, managed []attached) (all []*iam.Policy, arns []string) {
	for _, i := range inline {
		if p := b.compile(iam.Identity, owner, kind, i.Name, i.Document); p != nil {
			all = append(all, p)
		}
	}
	for _, m := range managed {
		arns = append(arns, m.ARN)
		if p := b.managed(owner, m.ARN); p != nil {
			all = append(all, p)
		}
	}
	return all, arns
}

func (b *builder) managed(owner, arn string) *iam.Policy {
	p, ok := b.account.policies[arn]
	if !ok && !b.missing[arn] {
		b.missing[arn] = true
		b.unread(arn, "it is attached to "+owner+", and not in the snapshot")
	}
	return p
}

func (b *builder) unread(what, why string) {
	b.account.Unread = append(b.account.Unread, diag.Place{File: what, Why: why})
}

// compile reads a document, an object or its text with % escapes, and notes
// what a reviewer would say of it. What AWS keeps nobody can mend.
func (b *builder) compile(of iam.Kind, owner, kind, name string, document jsontext.Value) *iam.Policy {
	text := []byte(document)
	if document.Kind() == '"' {
		var s string
		if err := json.Unmarshal(document, &s); err != nil {
			b.unread(owner, name+": "+err.Error())
			return nil
		}
		if plain, err := url.PathUnescape(s); err == nil {
			s = plain
		}
		text = []byte(s)
	}
	full := owner + " " + name
	if owner == name {
		full = name
	}
	p, mistakes := iam.Accepted(of, full, text)
	for _, m := range mistakes {
		b.unread(owner, name+": "+m.Message)
	}
	if strings.Contains(owner, ":iam::aws:") || strings.Contains(owner, ":role/aws-") {
		return p
	}
	for _, r := range iam.Check(of, name, text) {
		if r.Weight == iam.Warning {
			b.account.grants = append(b.account.grants, grant(owner, name, kind, r))
		}
	}
	return p
}
