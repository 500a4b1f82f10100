package access

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Allow is nil if everything that applies to whoever asks allows every request
// (the policies of the user and its groups or of the role, the boundary, those
// of the session, the trust policy of a role that is to be assumed), and
// fault.Denied in AWS's words if one is not allowed, or cannot be decided.
func (a *Access) Allow(ctx context.Context, requests ...iam.Request) error {
	if len(requests) == 0 {
		return fault.Denied.Errorf("nothing was asked, so nothing is allowed")
	}
	d, err := a.known(ctx)
	if err != nil {
		return err
	}
	for _, r := range requests {
		if err := a.decide(ctx, d, r); err != nil {
			return err
		}
	}
	return nil
}

func (a *Access) decide(ctx context.Context, d *Directory, r iam.Request) error {
	if r.Principal == (iam.Principal{}) {
		r.Principal = iam.Principal{Type: "Anonymous"}
	}
	p, r, err := a.question(ctx, d, r)
	if err != nil {
		return fault.Denied.Errorf("User: %s is not authorized to perform: %s on resource: %s because it cannot be decided: %w", r.Principal.ARN, r.Action, r.Resource, err)
	}
	return p.Decide(r).Err(r)
}

// Explain is a decision with its reasons: what Allow would say, layer by layer.
func (a *Access) Explain(ctx context.Context, r iam.Request) (iam.Explanation, error) {
	d, err := a.Directory(ctx)
	if err != nil {
		return iam.Explanation{}, err
	}
	p, r, err := a.question(ctx, d, r)
	if err != nil {
		return iam.Explanation{}, err
	}
	return p.Explain(r), nil
}

// errUnknown is of principals that are not, or no longer, of this account.
var errUnknown = errors.New("whoever asks is not known here any more")

var errBarred = errors.New("temporary credentials of a user are not good for it, or not without a second factor")

// ErrMustChange is of sessions that may do nothing but set another password.
var ErrMustChange = errors.New("another password has to be set first")

// everything is for the one thing that somebody has to do.
var everything = &iam.Policies{Identity: []*iam.Policy{must(iam.Parse("everything", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)))}}

func must(p *iam.Policy, err error) *iam.Policy {
	if err != nil {
		panic(err) // the text is ours
	}
	return p
}

// question is a request with its whole context, and the policies that apply to it.
func (a *Access) question(ctx context.Context, d *Directory, r iam.Request) (*iam.Policies, iam.Request, error) {
	asked := known(r)
	context := asked.Context
	now := a.config.Now()
	if context["aws:currenttime"] == nil {
		context["aws:currenttime"] = []string{now.UTC().Format(time.RFC3339)}
	}
	if context["aws:epochtime"] == nil {
		context["aws:epochtime"] = []string{strconv.FormatInt(now.Unix(), 10)}
	}
	service, action, _ := strings.Cut(r.Action, ":")
	held, _ := r.Principal.Session.(*Session)
	if held.barred(service, action) {
		return nil, asked, errBarred
	}
	if u := d.users[r.Principal.Name]; held != nil && held.Of == OfUser && held.Expires.IsZero() && u != nil && u.MustChange {
		if !strings.EqualFold(r.Action, "iam:ChangePassword") || r.Resource != u.ARN {
			return nil, asked, ErrMustChange
		}
		return everything, asked, nil
	}
	ours := strings.EqualFold(service, "iam") || strings.EqualFold(service, "sts")
	if ours {
		for key, value := range d.tagsOf(r.Resource) {
			put(context, "aws:resourcetag/"+strings.ToLower(key), value)
			put(context, "iam:resourcetag/"+strings.ToLower(key), value)
		}
	}
	p, err := d.policiesOf(r.Principal, context, now)
	if err != nil {
		return nil, asked, err
	}
	if ours && strings.HasPrefix(r.Resource, d.arn("role/")) && !strings.EqualFold(service, "iam") {
		role := d.roles[r.Resource[strings.LastIndexByte(r.Resource, '/')+1:]]
		if role == nil || d.RoleARN(role) != r.Resource {
			return p, asked, nil // what is not there nobody trusts: sts answers that it may not be assumed
		}
		s := d.subject(RoleNamed(role.Name))
		if s.trust == nil {
			return nil, asked, s.broken
		}
		with := *p
		with.Resource = s.trust
		return &with, asked, nil
	}
	if ours || a.config.PolicyOf == nil {
		return p, asked, nil
	}
	policy, err := a.config.PolicyOf(ctx, r.Resource)
	if err != nil || policy == nil {
		return p, asked, err
	}
	with := *p
	with.Resource = policy
	return &with, asked, nil
}

// known is r.Known, and no more than a copy where a door has asked that already.
func known(r iam.Request) iam.Request {
	if r.Context["aws:principalaccount"] == nil || r.Context["aws:principaltype"] == nil {
		return r.Known()
	}
	for key := range r.Context {
		for i := range len(key) {
			if c := key[i]; 'A' <= c && c <= 'Z' || c >= 0x80 {
				return r.Known()
			}
		}
	}
	r.Context = maps.Clone(r.Context)
	return r
}

func put(context map[string][]string, key, value string) {
	if _, said := context[key]; !said {
		context[key] = []string{value}
	}
}

var nothing = &iam.Policies{}

// policiesOf are the policies of whoever asks; what is known of the session goes into context.
func (d *Directory) policiesOf(who iam.Principal, context map[string][]string, now time.Time) (*iam.Policies, error) {
	held, _ := who.Session.(*Session)
	var o Owner
	switch {
	case who.Type == "Anonymous":
		return nil, errors.New("nobody signed it")
	case who.Provider != "":
		return nothing, nil // but a role's trust policy may name them
	case held != nil:
		o = held.owner()
		if now.After(held.Expires) && !held.Expires.IsZero() {
			return nil, errors.New("the session is over")
		}
	case who.Type == "User" && who.Name != "":
		o = UserNamed(who.Name)
	default:
		return nil, errUnknown
	}
	s := d.subject(o)
	switch {
	case s == nil, held == nil && s.arn != who.ARN, held != nil && s.id != held.ID:
		return nil, errUnknown
	case s.broken != nil:
		return nil, s.broken
	}
	for _, t := range s.tags {
		if context[t.key] == nil {
			context[t.key] = t.value
		}
	}
	if held == nil {
		return &s.policies, nil
	}
	held.tell(context, now)
	return held.policies(d, s)
}

// barred tells of what temporary credentials of a user are not good for,
// whatever policies say: IAM without a second factor, and all of STS but to ask
// who one is and to become a role.
func (s *Session) barred(service, action string) bool {
	if s == nil || s.Of != OfUser || s.Expires.IsZero() {
		return false
	}
	switch {
	case strings.EqualFold(service, "iam"):
		return s.Federated || s.MFA.IsZero()
	case strings.EqualFold(service, "sts"):
		return s.Federated || !strings.EqualFold(action, "AssumeRole") && !strings.EqualFold(action, "TagSession") && !strings.EqualFold(action, "SetSourceIdentity")
	}
	return false
}
