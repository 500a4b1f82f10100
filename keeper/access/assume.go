package access

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Temporary are credentials that end by themselves.
type Temporary struct {
	KeyID   string // ASIA…
	Secret  seal.Secret
	Token   seal.Secret
	Expires time.Time
	Packed  int // how much of a token its policies and tags take, in percent

	Principal iam.Principal // who they make one
}

// Assume is what somebody asks for who wants to become a role, or to be less than they are.
type Assume struct {
	Role     string // ARN
	Name     string // of the session
	Seconds  int    // 0: as the operation has it
	Limited  string // a session policy, or ""
	Managed  []string
	Tags     map[string]string
	Lasting  []string // keys of tags that stay through further roles
	Source   string   // source identity
	Serial   string   // of an MFA device of the caller's
	Code     string
	External string // external id
}

const (
	hour         = 3600
	mostChained  = hour
	mostManageds = 10
	mostSession  = 2048 // characters of session policies
)

var sessionName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w+=,.@-]{2,64}$`) })

// Asks are what must be allowed, on whom, for a role to be assumed so.
func (as *Assume) Asks(action string) []iam.Request {
	context := map[string][]string{"sts:rolesessionname": {as.Name}}
	if as.External != "" {
		context["sts:externalid"] = []string{as.External}
	}
	if as.Source != "" {
		context["sts:sourceidentity"] = []string{as.Source}
	}
	if len(as.Lasting) > 0 {
		context["sts:transitivetagkeys"] = as.Lasting
	}
	for key, value := range as.Tags {
		context["aws:requesttag/"+strings.ToLower(key)] = []string{value}
		context["aws:tagkeys"] = append(context["aws:tagkeys"], key)
	}
	asked := []iam.Request{{Action: "sts:" + action, Resource: as.Role, Context: context}}
	if len(as.Tags) > 0 {
		asked = append(asked, iam.Request{Action: "sts:TagSession", Resource: as.Role, Context: context})
	}
	if as.Source != "" {
		asked = append(asked, iam.Request{Action: "sts:SetSourceIdentity", Resource: as.Role, Context: context})
	}
	return asked
}

// Factor is when the caller shows a second factor with this call, zero if it
// shows none. It must be asked before Allow is: the code is used up by it.
func (a *Access) Factor(ctx context.Context, who iam.Principal, serial, code string) (time.Time, error) {
	if serial == "" && code == "" {
		return time.Time{}, nil
	}
	if s, ok := who.Session.(*Session); who.Type != "User" || serial == "" || code == "" || ok && s.Federated {
		return time.Time{}, fault.Denied.Errorf("MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code, as the user whose device it is.")
	}
	if err := a.secondFactor(ctx, who.Name, serial, code); err != nil {
		if errors.Is(err, ErrCode) {
			return time.Time{}, fault.Denied.Errorf("MultiFactorAuthentication failed with invalid MFA one time pass code.")
		}
		return time.Time{}, err
	}
	return a.config.Now(), nil
}

// AssumeRole makes who a role for a while. Whether it may is asked here: by
// the role's trust policy, and by the caller's own. context are the request's keys.
func (a *Access) AssumeRole(ctx context.Context, who iam.Principal, as Assume, context map[string][]string) (t Temporary, err error) {
	factor, err := a.Factor(ctx, who, as.Serial, as.Code)
	if err != nil {
		return t, err
	}
	before, _ := who.Session.(*Session)
	if before != nil && before.Source != "" {
		if as.Source != "" && as.Source != before.Source {
			return t, fault.Denied.Errorf("the source identity of a session stays %q", before.Source)
		}
		as.Source = before.Source
	}
	tags := maps.Clone(as.Tags)
	if before != nil && before.Of == OfRole {
		for _, key := range before.Lasting {
			if _, again := as.Tags[key]; again {
				return t, fault.Invalid.Errorf("the tag %q stays through roles and cannot be set again", key)
			}
			if tags == nil {
				tags = map[string]string{}
			}
			tags[key] = before.Tags[key]
			as.Lasting = append(as.Lasting, key)
		}
	}
	asked := as.Asks("AssumeRole")
	for i := range asked {
		asked[i].Principal = who
		for key, values := range context {
			asked[i].Context[key] = values
		}
		if !factor.IsZero() {
			asked[i].Context["aws:multifactorauthpresent"], asked[i].Context["aws:multifactorauthage"] = []string{"true"}, []string{"0"}
		}
	}
	if err := a.Allow(ctx, asked...); err != nil {
		return t, err
	}
	as.Tags = tags
	chained := before != nil && before.Of == OfRole
	return a.become(ctx, as, chained, &Session{MFA: factor})
}

// become makes the session of a role; that it may be assumed was asked.
func (a *Access) become(ctx context.Context, as Assume, chained bool, s *Session) (t Temporary, err error) {
	d, err := a.Directory(ctx)
	if err != nil {
		return t, err
	}
	role := d.roles[as.Role[strings.LastIndexByte(as.Role, '/')+1:]]
	if role == nil || d.RoleARN(role) != as.Role {
		return t, fault.Denied.Errorf("%s cannot be assumed: there is no such role here", as.Role)
	}
	if !sessionName().MatchString(as.Name) {
		return t, fault.Invalid.Errorf("the name of a session is 2 to 64 letters, digits and _+=,.@-, not %q", as.Name)
	}
	if as.Seconds == 0 {
		as.Seconds = hour
	}
	switch {
	case chained && as.Seconds > mostChained:
		return t, fault.Invalid.Errorf("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	case as.Seconds > role.Longest:
		return t, fault.Invalid.Errorf("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	s.Of, s.Who, s.ID, s.Name = OfRole, role.Name, role.ID, as.Name
	t, err = a.session(d, as, s)
	if err == nil {
		a.Used(as.Role, "sts", "")
	}
	return t, err
}

// session makes credentials of a session, limited as was asked.
func (a *Access) session(d *Directory, as Assume, s *Session) (t Temporary, err error) {
	if as.Seconds < 900 || as.Seconds > 36*hour {
		return t, fault.Invalid.Errorf("a session lasts 900 seconds or more, and not %d", as.Seconds)
	}
	total := size(as.Limited)
	if as.Limited != "" {
		if err := document(iam.Identity, "session policy", as.Limited, mostSession, "SessionPolicySize"); err != nil {
			return t, err
		}
		s.Limited = []string{as.Limited}
	}
	if len(as.Managed) > mostManageds {
		return t, quota("SessionPolicyArns", mostManageds)
	}
	for _, arn := range as.Managed {
		if d.policies[arn] == nil {
			return t, fault.Invalid.Errorf("%s", missing(aPolicy, arn))
		}
		total += len(arn)
	}
	if total > mostSession {
		return t, ErrPacked
	}
	if s.Tags, err = tagged(nil, as.Tags, nil); err != nil {
		return t, err
	}
	for _, key := range as.Lasting {
		if _, ok := as.Tags[key]; !ok {
			return t, fault.Invalid.Errorf("the transitive key %q is no tag of the session", key)
		}
	}
	slices.Sort(as.Lasting)
	now := a.now()
	s.Managed, s.Lasting, s.Source, s.Issued, s.Expires = as.Managed, slices.Compact(as.Lasting), as.Source, now, now.Add(time.Duration(as.Seconds)*time.Second)
	if t, err = a.issue(s); err != nil {
		return t, err
	}
	t.Principal, err = d.principal(s)
	return t, err
}

// SessionToken gives a user temporary credentials of their own, which know
// whether a second factor was shown. Sessions cannot ask for it.
func (a *Access) SessionToken(ctx context.Context, who iam.Principal, seconds int, serial, code string) (t Temporary, err error) {
	if who.Type != "User" || who.Session != nil {
		return t, fault.Denied.Errorf("Cannot call GetSessionToken with session credentials")
	}
	d, err := a.Directory(ctx)
	if err != nil {
		return t, err
	}
	// Everybody may, unless somebody says no.
	r := iam.Request{Principal: who, Action: "sts:GetSessionToken", Resource: "*"}
	p, r, err := a.question(ctx, d, r)
	if err != nil {
		return t, fault.Denied.Wrap(err)
	}
	if decision := p.Decide(r); decision.Outcome == iam.ExplicitlyDenied {
		return t, decision.Err(r)
	}
	factor, err := a.Factor(ctx, who, serial, code)
	if err != nil {
		return t, err
	}
	if seconds == 0 {
		seconds = 12 * hour
	}
	return a.session(d, Assume{Seconds: seconds}, &Session{Of: OfUser, Who: who.Name, ID: who.ID, MFA: factor})
}

// FederationToken gives somebody whom a user vouches for credentials that may do
// what the user may and the policies given allow; without any, nothing.
func (a *Access) FederationToken(ctx context.Context, who iam.Principal, as Assume) (t Temporary, err error) {
	if who.Type != "User" || who.Session != nil {
		return t, fault.Denied.Errorf("Cannot call GetFederationToken with session credentials")
	}
	if !userName().MatchString(as.Name) || len(as.Name) > 32 || len(as.Name) < 2 {
		return t, fault.Invalid.Errorf("the name of a federated user is 2 to 32 letters, digits and _+=,.@-, not %q", as.Name)
	}
	d, err := a.Directory(ctx)
	if err != nil {
		return t, err
	}
	if as.Seconds == 0 {
		as.Seconds = 12 * hour
	}
	return a.session(d, as, &Session{Of: OfUser, Who: who.Name, ID: who.ID, Name: as.Name, Federated: true})
}

// Owns tells whether an access key is of this account: one of a user, or one of
// temporary credentials, of which nothing is kept but that they were made in our form.
func (a *Access) Owns(ctx context.Context, id string) (bool, error) {
	d, err := a.Directory(ctx)
	if err != nil {
		return false, err
	}
	_, ok := d.keys[id]
	return ok, nil
}

// RoleUsed is when a role was assumed last; zero if never.
func (a *Access) RoleUsed(ctx context.Context) (map[string]time.Time, error) {
	all := map[string]time.Time{}
	err := a.config.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.Each(func(scan db.Scan) error {
			var arn string
			var at int64
			err := scan(&arn, &at)
			all[arn] = time.UnixMicro(at)
			return err
		}, "SELECT arn, used FROM access_uses")
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, u := range a.used {
		if strings.HasPrefix(id, "arn:") {
			all[id] = u.at
		}
	}
	return all, err
}
