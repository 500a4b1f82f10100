package access

import (
	"bytes"
	"compress/flate"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// A Session is what temporary credentials and console sessions stand for. It
// is the token itself: sealed, so that it can be neither read nor made by
// others, and whole, so that nothing has to be looked up.
type Session struct {
	Of      OwnerKind   // of a role, or of a user
	Who     string      // the role's name, or the user's
	ID      string      // and its unique id: one of the same name that is made later is another
	Name    string      `json:",omitzero"` // of the session, or of the federated user
	Secret  seal.Secret `json:"-"`
	Issued  time.Time
	Expires time.Time `json:",omitzero"` // zero for console sessions, which end otherwise
	MFA     time.Time `json:",omitzero"` // when a second factor was shown

	Federated bool              `json:",omitzero"` // by GetFederationToken: may do what its policies say, of what the user may
	Limited   []string          `json:",omitzero"` // documents of session policies
	Managed   []string          `json:",omitzero"` // ARNs of session policies
	Tags      map[string]string `json:",omitzero"`
	Lasting   []string          `json:",omitzero"` // keys of tags that stay through further roles
	Source    string            `json:",omitzero"` // source identity
	Provider  string            `json:",omitzero"` // ARN of the identity provider that vouched

	told atomic.Pointer[limited]
}

// limited is a session's policies as of one directory.
type limited struct {
	of       *Directory
	policies iam.Policies
	err      error
}

// mostPacked bounds what policies and tags make of a token, compressed.
const mostPacked = 4096

func (s *Session) owner() Owner { return Owner{s.Of, s.Who} }

func tokenRow(id string) seal.Row {
	return seal.Row{Table: "access_temporary", ID: id, Column: "token"}
}

// sealedSession is a token: what the session is, compressed and sealed for its access key.
type sealedSession struct {
	Session *Session
	Secret  string
}

// issue makes the access key and the token of a session. packed is how much of
// what fits policies and tags take, in percent.
func (a *Access) issue(s *Session) (Temporary, error) {
	id := newID("ASIA")
	s.Secret = seal.Secret(newSecret())
	text, err := json.Marshal(sealedSession{s, s.Secret.Reveal()}, json.Deterministic(true))
	if err != nil {
		return Temporary{}, err
	}
	var small bytes.Buffer
	z, err := flate.NewWriter(&small, flate.DefaultCompression)
	if err != nil {
		return Temporary{}, err
	}
	if _, err := z.Write(text); err != nil {
		return Temporary{}, err
	}
	if err := z.Close(); err != nil {
		return Temporary{}, err
	}
	packed := small.Len() * 100 / mostPacked
	if packed > 100 {
		return Temporary{}, ErrPacked
	}
	token, err := a.config.Sealer.Seal(tokenRow(id), seal.Secret(small.String()))
	if err != nil {
		return Temporary{}, err
	}
	if len(s.Limited)+len(s.Managed)+len(s.Tags) == 0 {
		packed = 0
	}
	return Temporary{KeyID: id, Secret: s.Secret, Token: seal.Secret(token), Expires: s.Expires, Packed: packed}, nil
}

// ErrPacked is of session policies and tags that are too large together.
var ErrPacked = fault.Invalid.Errorf("the session policies and tags together are larger than a session token can hold")

// mostSessions bounds the tokens that are kept opened.
const mostSessions = 2000

// open is the session that a token stands for, if it was made here and for that key.
func (a *Access) open(id, token string) (*Session, error) {
	at := id + " " + token
	a.mu.Lock()
	s := a.sessions[at]
	a.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := a.unseal(tokenRow(id), token)
	if err != nil {
		return nil, fault.NotFound.Errorf("the session token was not made here, or not for this access key")
	}
	a.remember(at, s)
	return s, nil
}

func (a *Access) remember(at string, s *Session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sessions) >= mostSessions {
		clear(a.sessions)
	}
	a.sessions[at] = s
}

func (a *Access) unseal(row seal.Row, token string) (*Session, error) {
	if len(token) > 4*mostPacked {
		return nil, seal.Malformed
	}
	small, err := a.config.Sealer.Open(row, token)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(strings.NewReader(small.Reveal())), 1<<20))
	if err != nil {
		return nil, err
	}
	var s sealedSession
	if err := json.Unmarshal(text, &s); err != nil || s.Session == nil {
		return nil, seal.Malformed
	}
	s.Session.Secret = seal.Secret(s.Secret)
	return s.Session, nil
}

// principal is who acts in a session; fault.NotFound where the role or the user
// is gone, or another of the same name has taken its place.
func (d *Directory) principal(s *Session) (who iam.Principal, err error) {
	sub := d.subject(s.owner())
	if sub == nil || sub.id != s.ID {
		return who, fault.NotFound.Errorf("whoever the session is of is gone")
	}
	who = iam.Principal{Account: d.Account, ID: s.ID, Session: s}
	switch {
	case s.Of == OfRole:
		who.ARN = "arn:aws:sts::" + d.Account + ":assumed-role/" + s.Who + "/" + s.Name
		who.ID, who.Type, who.Issuer = s.ID+":"+s.Name, "AssumedRole", sub.arn
	case s.Federated:
		who.ARN = "arn:aws:sts::" + d.Account + ":federated-user/" + s.Name
		who.ID, who.Type, who.Issuer = d.Account+":"+s.Name, "FederatedUser", sub.arn
	default:
		who.ARN, who.Type, who.Name = sub.arn, "User", s.Who
	}
	return who, nil
}

// tell puts what is known of a session into a request's context.
func (s *Session) tell(context map[string][]string, now time.Time) {
	for key, value := range s.Tags {
		context["aws:principaltag/"+strings.ToLower(key)] = []string{value} // in place of the role's own
	}
	put(context, "aws:multifactorauthpresent", strconv.FormatBool(!s.MFA.IsZero()))
	if !s.MFA.IsZero() {
		put(context, "aws:multifactorauthage", strconv.FormatInt(int64(now.Sub(s.MFA)/time.Second), 10))
	}
	put(context, "aws:tokenissuetime", s.Issued.UTC().Format(time.RFC3339))
	if s.Source != "" {
		put(context, "aws:sourceidentity", s.Source)
	}
	if s.Provider != "" {
		put(context, "aws:federatedprovider", s.Provider)
	}
}

// policies are the owner's, with the session's own.
func (s *Session) policies(d *Directory, of *subject) (*iam.Policies, error) {
	if l := s.told.Load(); l != nil && l.of == d {
		return &l.policies, l.err
	}
	l := &limited{of: d, policies: of.policies}
	if s.Federated || len(s.Limited)+len(s.Managed) > 0 {
		l.policies.Session = []*iam.Policy{}
	}
	add := func(name, text string) {
		p, err := d.cache.policy(iam.Identity, name, text)
		if err != nil {
			l.err = err
		}
		l.policies.Session = append(l.policies.Session, p)
	}
	for _, text := range s.Limited {
		add("session policy", text)
	}
	for _, arn := range s.Managed {
		p := d.policies[arn]
		if p == nil {
			l.err = missing(aPolicy, arn)
			continue
		}
		add(p.Name, p.Document())
	}
	s.told.Store(l)
	return &l.policies, l.err
}
