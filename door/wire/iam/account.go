package iam

import (
	"bytes"
	"context"
	"encoding/csv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

type (
	aliasesOut struct {
		AccountAliases []string
		more
	}
	summaryOut struct{ SummaryMap map[string]int }
	reportMade struct{ State, Description string }
	reportOut  struct {
		Content       []byte
		ReportFormat  string
		GeneratedTime *time.Time
	}
	passwordPolicy struct {
		MinimumPasswordLength                                                                  int
		RequireSymbols, RequireNumbers, RequireUppercaseCharacters, RequireLowercaseCharacters bool
		AllowUsersToChangePassword, ExpirePasswords                                            bool
	}
	passwordsOut struct{ PasswordPolicy passwordPolicy }
)

func (s *service) account() map[string]wire.Operation {
	return map[string]wire.Operation{
		"CreateAccountAlias": does(everything, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.SetAlias(ctx, in.AccountAlias)
		}),
		"DeleteAccountAlias": does(everything, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.DeleteAlias(ctx, in.AccountAlias)
		}),
		"ListAccountAliases": on(everything, func(ctx context.Context, _ *wire.Call, in *input) (*aliasesOut, error) {
			d, err := s.access.Directory(ctx)
			if err != nil {
				return nil, err
			}
			out := &aliasesOut{AccountAliases: []string{}}
			if d.Alias != "" {
				out.AccountAliases = append(out.AccountAliases, d.Alias)
			}
			return out, nil
		}),
		"GetAccountPasswordPolicy": on(everything, func(context.Context, *wire.Call, *input) (*passwordsOut, error) {
			return &passwordsOut{passwordPolicy{MinimumPasswordLength: access.ShortestPassword, AllowUsersToChangePassword: true}}, nil
		}),
		"GetAccountSummary":              on(everything, s.summary),
		"GetAccountAuthorizationDetails": on(everything, s.details),
		"GenerateCredentialReport": on(everything, func(context.Context, *wire.Call, *input) (*reportMade, error) {
			return &reportMade{"COMPLETE", "The report is of the moment in which it is asked for."}, nil
		}),
		"GetCredentialReport": on(everything, s.report),
	}
}

func (s *service) summary(ctx context.Context, _ *wire.Call, _ *input) (*summaryOut, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, err
	}
	inUse, versions, own := 0, 0, 0
	for _, m := range d.Devices {
		if m.User != "" {
			inUse++
		}
	}
	for _, p := range d.Policies {
		if !p.Ours {
			own++
			versions += len(p.Versions)
		}
	}
	return &summaryOut{map[string]int{
		"Users": len(d.Users), "Groups": len(d.Groups), "Roles": len(d.Roles), "Policies": own, "PolicyVersionsInUse": versions,
		"InstanceProfiles": len(d.Profiles), "Providers": len(d.Providers), "MFADevices": len(d.Devices), "MFADevicesInUse": inUse,
		"AccountAccessKeysPresent": 0, "AccountPasswordPresent": 0, "AccountMFAEnabled": 0, // there is no root user
		"AccessKeysPerUserQuota": 2, "GroupsPerUserQuota": 10, "VersionsPerPolicyQuota": 5,
		"AttachedPoliciesPerUserQuota": 10, "AttachedPoliciesPerGroupQuota": 10, "AttachedPoliciesPerRoleQuota": 10,
		"PolicySizeQuota": 6144, "UserPolicySizeQuota": 2048, "GroupPolicySizeQuota": 5120, "RolePolicySizeQuota": 10240, "AssumeRolePolicySizeQuota": 4096,
	}}, nil
}

type (
	policyDetail struct{ PolicyName, PolicyDocument string }
	userDetail   struct {
		Path, UserName, Arn     string
		ID                      string `json:"UserId"`
		CreateDate              *time.Time
		UserPolicyList          []policyDetail
		GroupList               []string
		AttachedManagedPolicies []attached
		PermissionsBoundary     *boundary `json:",omitzero"`
		Tags                    []tag
	}
	groupDetail struct {
		Path, GroupName, Arn    string
		ID                      string `json:"GroupId"`
		CreateDate              *time.Time
		GroupPolicyList         []policyDetail
		AttachedManagedPolicies []attached
	}
	roleDetail struct {
		Path, RoleName, Arn      string
		ID                       string `json:"RoleId"`
		CreateDate               *time.Time
		AssumeRolePolicyDocument string
		InstanceProfileList      []profileOut
		RolePolicyList           []policyDetail
		AttachedManagedPolicies  []attached
		PermissionsBoundary      *boundary `json:",omitzero"`
		Tags                     []tag
		RoleLastUsed             *roleUse
	}
	managedDetail struct {
		PolicyName, Arn, Path         string
		ID                            string `json:"PolicyId"`
		DefaultVersionID              string `json:"DefaultVersionId"`
		AttachmentCount               int
		PermissionsBoundaryUsageCount int
		IsAttachable                  bool
		CreateDate, UpdateDate        *time.Time
		PolicyVersionList             []versionOut
	}
	detailsOut struct {
		UserDetailList  []userDetail
		GroupDetailList []groupDetail
		RoleDetailList  []roleDetail
		Policies        []managedDetail
		more
	}
)

func inlines(h *access.Holder) []policyDetail {
	all := []policyDetail{}
	for _, name := range slices.Sorted(maps.Keys(h.Inline)) {
		all = append(all, policyDetail{name, encoded(h.Inline[name])})
	}
	return all
}

// details are the whole account, as a snapshot for whoever asks who can do what.
func (s *service) details(ctx context.Context, _ *wire.Call, in *input) (*detailsOut, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, err
	}
	used, err := s.access.RoleUsed(ctx)
	if err != nil {
		return nil, err
	}
	type entry struct {
		key string
		put func(*detailsOut)
	}
	var all []entry
	add := func(filter, key string, put func(*detailsOut)) {
		if len(in.Filter) == 0 || slices.Contains(in.Filter, filter) {
			all = append(all, entry{filter + "/" + key, put})
		}
	}
	for i := range d.Users {
		u := &d.Users[i]
		add("User", u.Name, func(o *detailsOut) {
			o.UserDetailList = append(o.UserDetailList, userDetail{u.Path, u.Name, u.ARN, u.ID, at(u.Created), inlines(&u.Holder), append([]string{}, u.Groups...), attachedTo(&u.Holder), boundaryOf(&u.Holder), tagsOf(u.Tags)})
		})
	}
	for i := range d.Groups {
		g := &d.Groups[i]
		add("Group", g.Name, func(o *detailsOut) {
			o.GroupDetailList = append(o.GroupDetailList, groupDetail{g.Path, g.Name, d.GroupARN(g), g.ID, at(g.Created), inlines(&g.Holder), attachedTo(&g.Holder)})
		})
	}
	for i := range d.Roles {
		r := &d.Roles[i]
		add("Role", r.Name, func(o *detailsOut) {
			profiles := []profileOut{}
			for i := range d.Profiles {
				if d.Profiles[i].Role == r.Name {
					profiles = append(profiles, outProfile(d, &d.Profiles[i], false))
				}
			}
			o.RoleDetailList = append(o.RoleDetailList, roleDetail{r.Path, r.Name, d.RoleARN(r), r.ID, at(r.Created), encoded(r.Trust), profiles, inlines(&r.Holder), attachedTo(&r.Holder), boundaryOf(&r.Holder), tagsOf(r.Tags), &roleUse{at(used[d.RoleARN(r)])}})
		})
	}
	for i := range d.Policies {
		p := &d.Policies[i]
		filter := "LocalManagedPolicy"
		if p.Ours {
			filter = "AWSManagedPolicy"
		}
		add(filter, p.Name, func(o *detailsOut) {
			m := outPolicy(d, p, false)
			detail := managedDetail{m.PolicyName, m.Arn, m.Path, m.PolicyID, m.DefaultVersionID, m.AttachmentCount, m.PermissionsBoundaryUsageCount, true, m.CreateDate, m.UpdateDate, nil}
			for _, v := range p.Versions {
				detail.PolicyVersionList = append(detail.PolicyVersionList, outVersion(p, v, true))
			}
			o.Policies = append(o.Policies, detail)
		})
	}
	part, m, err := page(in, all, func(e *entry) string { return e.key })
	if err != nil {
		return nil, err
	}
	out := &detailsOut{[]userDetail{}, []groupDetail{}, []roleDetail{}, []managedDetail{}, m}
	for _, e := range part {
		e.put(out)
	}
	return out, nil
}

var reportColumns = strings.Fields(`user arn user_creation_time password_enabled password_last_used password_last_changed password_next_rotation mfa_active
	access_key_1_active access_key_1_last_rotated access_key_1_last_used_date access_key_1_last_used_region access_key_1_last_used_service
	access_key_2_active access_key_2_last_rotated access_key_2_last_used_date access_key_2_last_used_region access_key_2_last_used_service
	cert_1_active cert_1_last_rotated cert_2_active cert_2_last_rotated`)

// report is the credential report. There is no root user, so it has no line for one.
func (s *service) report(ctx context.Context, c *wire.Call, _ *input) (*reportOut, error) {
	users, err := s.access.Users(ctx)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(reportColumns) // a bytes.Buffer takes everything
	stamp := func(t time.Time, otherwise string) string {
		if t.IsZero() {
			return otherwise
		}
		return t.UTC().Format("2006-01-02T15:04:05+00:00")
	}
	for _, u := range users {
		last, changed := "N/A", "N/A"
		if u.Password {
			last, changed = stamp(u.SignedIn, "no_information"), stamp(u.PasswordSet, stamp(u.Created, ""))
		}
		line := []string{u.Name, u.ARN, stamp(u.Created, ""), strconv.FormatBool(u.Password), last, changed, "N/A", strconv.FormatBool(u.Device != "")}
		for i := range 2 {
			if i >= len(u.Keys) {
				line = append(line, "false", "N/A", "N/A", "N/A", "N/A")
				continue
			}
			k := u.Keys[i]
			region, service := "N/A", "N/A"
			if k.Service != "" {
				region, service = k.Region, k.Service
			}
			line = append(line, strconv.FormatBool(k.Active), stamp(k.Created, "N/A"), stamp(k.Used, "N/A"), region, service)
		}
		_ = w.Write(append(line, "false", "N/A", "false", "N/A"))
	}
	w.Flush()
	return &reportOut{b.Bytes(), "text/csv", at(c.Time)}, w.Error()
}

// askSource asks for a simulation on whom it is of.
func askSource(c *wire.Call, in *simulateInput) []iam.Request { return c.Ask(in.PolicySourceArn) }

func askKeysSource(c *wire.Call, in *keysInput) []iam.Request { return c.Ask(in.PolicySourceArn) }

// source is a user, group or role by ARN, and the documents that it has, by name.
func (s *service) source(ctx context.Context, arn string) (*access.Directory, access.Owner, []document, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, access.Owner{}, nil, err
	}
	_, resource, _ := strings.Cut(arn, "::"+d.Account+":")
	kind, _, _ := strings.Cut(resource, "/")
	o := access.Owner{Kind: access.OwnerKind(kind), Name: resource[strings.LastIndexByte(resource, '/')+1:]}
	if o.Kind != access.OfUser && o.Kind != access.OfGroup && o.Kind != access.OfRole || d.OwnerARN(o) != arn {
		return nil, o, nil, fault.NotFound.Errorf("%s cannot be found.", arn)
	}
	h, err := d.Holder(o)
	if err != nil {
		return nil, o, nil, err
	}
	all := documents(d, string(kind), h)
	if u, err := d.User(o.Name); err == nil && o.Kind == access.OfUser {
		for _, name := range u.Groups {
			if g, err := d.Group(name); err == nil {
				all = append(all, documents(d, "group", &g.Holder)...)
			}
		}
	}
	return d, o, all, nil
}

// document is one policy of somebody: kind is where it comes from, as the simulator says it.
type document struct{ kind, name, text string }

func documents(d *access.Directory, kind string, h *access.Holder) (all []document) {
	for _, name := range slices.Sorted(maps.Keys(h.Inline)) {
		all = append(all, document{kind, name, h.Inline[name]})
	}
	for _, arn := range h.Attached {
		if p, err := d.Policy(arn); err == nil {
			managed := "user-managed"
			if p.Ours {
				managed = "aws-managed"
			}
			all = append(all, document{managed, p.Name, p.Document()})
		}
	}
	return all
}

// simulatePrincipalPolicy decides by what somebody has, and what the call adds.
func (s *service) simulatePrincipalPolicy(ctx context.Context, _ *wire.Call, in *simulateInput) (*simulateOutput, error) {
	d, o, all, err := s.source(ctx, in.PolicySourceArn)
	if err != nil {
		return nil, err
	}
	if in.CallerArn == "" && o.Kind == access.OfUser {
		in.CallerArn = in.PolicySourceArn
	}
	sim, err := newSimulation(in)
	if err != nil {
		return nil, said(err)
	}
	sim.kinds = map[string]string{}
	for _, doc := range all {
		name := doc.name
		for n := 2; sim.texts[name] != ""; n++ {
			name = doc.name + "-" + strconv.Itoa(n)
		}
		p, err := sim.compile(iam.Identity, name, doc.text)
		if err != nil {
			return nil, err
		}
		sim.kinds[name] = doc.kind
		sim.policies.Identity = append(sim.policies.Identity, p)
	}
	h, err := d.Holder(o)
	if err != nil {
		return nil, err
	}
	if h.Boundary != "" && len(in.PermissionsBoundaryPolicyInputList) == 0 {
		b, err := d.Policy(h.Boundary)
		if err != nil {
			return nil, err
		}
		p, err := sim.compile(iam.Identity, "boundary "+b.Name, b.Document())
		if err != nil {
			return nil, err
		}
		sim.policies.Boundary = []*iam.Policy{p}
	}
	if o.Kind == access.OfRole {
		sim.caller = iam.Principal{ARN: in.PolicySourceArn, Account: d.Account, Type: "AssumedRole"}
	}
	for key, value := range h.Tags {
		if at := "aws:principaltag/" + strings.ToLower(key); sim.context[at] == nil {
			sim.context[at] = []string{value}
		}
	}
	slices.Sort(sim.keys)
	sim.keys = slices.Compact(sim.keys)
	return sim.answer(in)
}

func (s *service) contextKeysForPrincipalPolicy(ctx context.Context, c *wire.Call, in *keysInput) (*keysOutput, error) {
	_, _, all, err := s.source(ctx, in.PolicySourceArn)
	if err != nil {
		return nil, err
	}
	for _, doc := range all {
		in.PolicyInputList = append(in.PolicyInputList, doc.text)
	}
	return contextKeysForCustomPolicy(ctx, c, in)
}
