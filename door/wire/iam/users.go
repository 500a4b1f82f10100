package iam

import (
	"context"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/word/fault"
)

type userOut struct {
	Path, UserName, Arn string
	UserID              string `json:"UserId"`
	CreateDate          *time.Time
	PasswordLastUsed    *time.Time `json:",omitzero"`
	PermissionsBoundary *boundary  `json:",omitzero"`
	Tags                []tag      `json:",omitzero"`
}

func outUser(u *access.User, whole bool) userOut {
	out := userOut{Path: u.Path, UserName: u.Name, UserID: u.ID, Arn: u.ARN, CreateDate: at(u.Created), PasswordLastUsed: at(u.SignedIn)}
	if whole {
		out.PermissionsBoundary = boundaryOf(&u.Holder)
		if len(u.Tags) > 0 {
			out.Tags = tagsOf(u.Tags)
		}
	}
	return out
}

type oneUser struct{ User userOut }

func (s *service) users() map[string]wire.Operation {
	target := s.of(userOwner)
	bounded := s.bounded(userOwner)
	return map[string]wire.Operation{
		"CreateUser": on(target, s.createUser),
		"GetUser":    on(target, s.getUser),
		"ListUsers":  on(everything, s.listUsers),
		"UpdateUser": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.RenameUser(ctx, in.UserName, in.NewUserName, in.NewPath)
		}),
		"DeleteUser": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.DeleteBareUser(ctx, in.UserName)
		}),
		"AttachUserPolicy":         does(target, s.attach(userOwner), bounded),
		"DetachUserPolicy":         does(target, s.detach(userOwner), bounded),
		"ListAttachedUserPolicies": on(target, s.listAttached(userOwner)),
		"PutUserPolicy":            does(target, s.putInline(userOwner), bounded),
		"DeleteUserPolicy":         does(target, s.deleteInline(userOwner), bounded),
		"ListUserPolicies":         on(target, s.listInline(userOwner)),
		"GetUserPolicy": on(target, func(ctx context.Context, c *wire.Call, in *input) (*inlineOut, error) {
			text, err := s.inline(ctx, c, in, userOwner)
			return &inlineOut{UserName: in.UserName, PolicyName: in.PolicyName, PolicyDocument: text}, err
		}),
		"PutUserPermissionsBoundary": does(target, func(ctx context.Context, c *wire.Call, in *input) error {
			return s.access.SetBoundary(ctx, userOwner(c, in), in.PermissionsBoundary)
		}),
		"DeleteUserPermissionsBoundary": does(target, func(ctx context.Context, c *wire.Call, in *input) error {
			return s.access.SetBoundary(ctx, userOwner(c, in), "")
		}, bounded),
		"TagUser":      does(target, s.tag(userOwner)),
		"UntagUser":    does(target, s.tag(userOwner)),
		"ListUserTags": on(target, s.listTags(userOwner)),
	}
}

func (s *service) createUser(ctx context.Context, _ *wire.Call, in *input) (*oneUser, error) {
	if err := in.twice(); err != nil {
		return nil, err
	}
	if err := s.access.AddUser(ctx, in.UserName, access.Holder{Path: in.Path, Tags: in.tags(), Boundary: in.PermissionsBoundary}); err != nil {
		return nil, err
	}
	return s.getUser(ctx, nil, in)
}

func (s *service) getUser(ctx context.Context, c *wire.Call, in *input) (*oneUser, error) {
	u, err := s.seen(ctx, c, in)
	if err != nil {
		return nil, err
	}
	return &oneUser{outUser(u, true)}, nil
}

// seen is a user, with when it and its keys were seen last.
func (s *service) seen(ctx context.Context, c *wire.Call, in *input) (*access.User, error) {
	name := user(c, in)
	if name == "" {
		return nil, fault.Invalid.Errorf("Must specify userName when calling with non-User credentials")
	}
	users, err := s.access.Users(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(users, func(u access.User) bool { return u.Name == name })
	if i < 0 {
		return nil, fault.NotFound.Errorf("The user with name %s cannot be found.", name)
	}
	return &users[i], nil
}

type usersOut struct {
	Users []userOut
	more
}

func (s *service) listUsers(ctx context.Context, _ *wire.Call, in *input) (*usersOut, error) {
	users, err := s.access.Users(ctx)
	if err != nil {
		return nil, err
	}
	var all []userOut
	for i := range users {
		all = append(all, outUser(&users[i], false))
	}
	part, m, err := page(in, below(in, all, func(u *userOut) string { return u.Path }), func(u *userOut) string { return u.UserName })
	return &usersOut{part, m}, err
}

type inlineOut struct {
	UserName       string `json:",omitzero"`
	GroupName      string `json:",omitzero"`
	RoleName       string `json:",omitzero"`
	PolicyName     string
	PolicyDocument string
}

// What users, groups and roles have in common.

type owner = func(*wire.Call, *input) access.Owner

func (s *service) holder(ctx context.Context, o access.Owner) (*access.Holder, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, err
	}
	return d.Holder(o)
}

func (s *service) attach(of owner) func(context.Context, *wire.Call, *input) error {
	return func(ctx context.Context, c *wire.Call, in *input) error {
		return s.access.AttachTo(ctx, of(c, in), in.PolicyArn)
	}
}

func (s *service) detach(of owner) func(context.Context, *wire.Call, *input) error {
	return func(ctx context.Context, c *wire.Call, in *input) error {
		return s.access.DetachFrom(ctx, of(c, in), in.PolicyArn)
	}
}

func (s *service) listAttached(of owner) func(context.Context, *wire.Call, *input) (*attachedOut, error) {
	return func(ctx context.Context, c *wire.Call, in *input) (*attachedOut, error) {
		h, err := s.holder(ctx, of(c, in))
		if err != nil {
			return nil, err
		}
		return attachedPage(in, h)
	}
}

func (s *service) putInline(of owner) func(context.Context, *wire.Call, *input) error {
	return func(ctx context.Context, c *wire.Call, in *input) error {
		return s.access.PutInline(ctx, of(c, in), in.PolicyName, in.PolicyDocument)
	}
}

func (s *service) deleteInline(of owner) func(context.Context, *wire.Call, *input) error {
	return func(ctx context.Context, c *wire.Call, in *input) error {
		return s.access.DeleteInline(ctx, of(c, in), in.PolicyName)
	}
}

func (s *service) listInline(of owner) func(context.Context, *wire.Call, *input) (*namesOut, error) {
	return func(ctx context.Context, c *wire.Call, in *input) (*namesOut, error) {
		h, err := s.holder(ctx, of(c, in))
		if err != nil {
			return nil, err
		}
		return inlinePage(in, h)
	}
}

func (s *service) inline(ctx context.Context, c *wire.Call, in *input, of owner) (string, error) {
	o := of(c, in)
	h, err := s.holder(ctx, o)
	if err != nil {
		return "", err
	}
	return inline(in, o, h)
}

func (s *service) tag(of owner) func(context.Context, *wire.Call, *input) error {
	return func(ctx context.Context, c *wire.Call, in *input) error {
		if err := in.twice(); err != nil {
			return err
		}
		return s.access.TagHolder(ctx, of(c, in), in.tags(), in.TagKeys)
	}
}

func (s *service) listTags(of owner) func(context.Context, *wire.Call, *input) (*tagsOut, error) {
	return func(ctx context.Context, c *wire.Call, in *input) (*tagsOut, error) {
		h, err := s.holder(ctx, of(c, in))
		if err != nil {
			return nil, err
		}
		return tagPage(in, h.Tags)
	}
}

// Access keys, passwords and tokens.

type keyOut struct {
	UserName        string
	AccessKeyID     string `json:"AccessKeyId"`
	Status          string
	SecretAccessKey string     `json:",omitzero"`
	CreateDate      *time.Time `json:",omitzero"`
}

type (
	oneKey  struct{ AccessKey keyOut }
	allKeys struct {
		AccessKeyMetadata []keyOut
		more
	}
	keyUse struct {
		LastUsedDate        *time.Time `json:",omitzero"`
		ServiceName, Region string
	}
	keyUsed struct {
		UserName          string
		AccessKeyLastUsed keyUse
	}
	login struct {
		UserName              string
		CreateDate            *time.Time
		PasswordResetRequired bool
	}
	oneLogin struct{ LoginProfile login }
	secretID struct {
		CreateDate                   *time.Time
		ServiceName, ServiceUserName string
		ServicePassword              string `json:",omitzero"`
		ID                           string `json:"ServiceSpecificCredentialId"`
		UserName, Status             string
	}
	oneSecret  struct{ ServiceSpecificCredential secretID }
	allSecrets struct {
		ServiceSpecificCredentials []secretID
		more
	}
)

func status(active bool) string {
	if active {
		return "Active"
	}
	return "Inactive"
}

func (s *service) credentials() map[string]wire.Operation {
	target := s.of(userOwner)
	return map[string]wire.Operation{
		"CreateAccessKey": on(target, func(ctx context.Context, c *wire.Call, in *input) (*oneKey, error) {
			u, err := s.seen(ctx, c, in)
			if err != nil {
				return nil, err
			}
			id, secret, err := s.access.CreateKey(ctx, u.Name)
			return &oneKey{keyOut{u.Name, id, "Active", secret.Reveal(), at(c.Time)}}, err
		}),
		"ListAccessKeys": on(target, func(ctx context.Context, c *wire.Call, in *input) (*allKeys, error) {
			u, err := s.seen(ctx, c, in)
			if err != nil {
				return nil, err
			}
			var all []keyOut
			for _, k := range u.Keys {
				all = append(all, keyOut{UserName: u.Name, AccessKeyID: k.ID, Status: status(k.Active), CreateDate: at(k.Created)})
			}
			part, m, err := page(in, all, func(k *keyOut) string { return k.AccessKeyID })
			return &allKeys{part, m}, err
		}),
		"UpdateAccessKey": does(target, func(ctx context.Context, c *wire.Call, in *input) error {
			return s.access.SetKey(ctx, user(c, in), in.AccessKeyID, in.Status == "Active")
		}),
		"DeleteAccessKey": does(target, func(ctx context.Context, c *wire.Call, in *input) error {
			return s.access.DeleteKey(ctx, user(c, in), in.AccessKeyID)
		}),
		"GetAccessKeyLastUsed": on(s.holderOfKey, s.keyUsed),
		"CreateLoginProfile": on(target, func(ctx context.Context, c *wire.Call, in *input) (*oneLogin, error) {
			u, err := s.seen(ctx, c, in)
			if err != nil {
				return nil, err
			}
			if u.Password {
				return nil, fault.Exists.Errorf("Login Profile for user %s already exists.", u.Name)
			}
			if err := s.access.PutPassword(ctx, u.Name, seal.Secret(in.Password), in.PasswordResetRequired != nil && *in.PasswordResetRequired); err != nil {
				return nil, weak(err)
			}
			return s.login(ctx, c, in)
		}),
		"GetLoginProfile": on(target, s.login),
		"UpdateLoginProfile": does(target, func(ctx context.Context, c *wire.Call, in *input) error {
			was, err := s.login(ctx, c, in)
			if err != nil {
				return err
			}
			change := was.LoginProfile.PasswordResetRequired
			if in.PasswordResetRequired != nil {
				change = *in.PasswordResetRequired
			}
			if in.Password == "" {
				return s.access.EditPassword(ctx, in.UserName, change)
			}
			return weak(s.access.PutPassword(ctx, in.UserName, seal.Secret(in.Password), change))
		}),
		"DeleteLoginProfile": does(target, func(ctx context.Context, c *wire.Call, in *input) error {
			return s.access.DeletePassword(ctx, user(c, in))
		}),
		"ChangePassword": does(target, func(ctx context.Context, c *wire.Call, in *input) error {
			err := s.access.ChangePassword(ctx, c.Principal.Name, seal.Secret(in.OldPassword), seal.Secret(in.NewPassword))
			if fault.Of(err) == fault.Unauthenticated {
				return wire.Errorf("AccessDenied", "The old password was incorrect.")
			}
			return weak(err)
		}),
		"CreateServiceSpecificCredential": on(target, s.createSecret),
		"ListServiceSpecificCredentials":  on(target, s.listSecrets),
		"DeleteServiceSpecificCredential": does(target, func(ctx context.Context, c *wire.Call, in *input) error {
			return s.access.DeleteToken(ctx, user(c, in), in.ServiceSpecificCredential)
		}),
	}
}

// weak says of a password what the policy on passwords says of it.
func weak(err error) error {
	if fault.Of(err) == fault.Invalid {
		return wire.Errorf("PasswordPolicyViolation", "%v", err)
	}
	return err
}

func (s *service) login(ctx context.Context, c *wire.Call, in *input) (*oneLogin, error) {
	u, err := s.seen(ctx, c, in)
	if err != nil {
		return nil, err
	}
	if !u.Password {
		return nil, fault.NotFound.Errorf("Login Profile for User %s cannot be found.", u.Name)
	}
	made := at(u.PasswordSet)
	if made == nil {
		made = at(u.Created)
	}
	return &oneLogin{login{u.Name, made, u.MustChange}}, nil
}

// holderOfKey is the ARN of the user whose access key is asked about.
func (s *service) holderOfKey(_ *wire.Call, in *input) []string {
	if u := s.userOfKey(context.Background(), in.AccessKeyID); u != nil {
		return []string{u.ARN}
	}
	return nil
}

func (s *service) userOfKey(ctx context.Context, id string) *access.User {
	users, err := s.access.Users(ctx)
	if err != nil {
		return nil
	}
	for i := range users {
		if slices.ContainsFunc(users[i].Keys, func(k access.Key) bool { return k.ID == id }) {
			return &users[i]
		}
	}
	return nil
}

func (s *service) keyUsed(ctx context.Context, _ *wire.Call, in *input) (*keyUsed, error) {
	u := s.userOfKey(ctx, in.AccessKeyID)
	if u == nil {
		return nil, wire.Errorf("AccessDenied", "The access key %s is of no user of this account.", in.AccessKeyID)
	}
	k := u.Keys[slices.IndexFunc(u.Keys, func(k access.Key) bool { return k.ID == in.AccessKeyID })]
	use := keyUse{LastUsedDate: at(k.Used), ServiceName: "N/A", Region: "N/A"}
	if k.Service != "" {
		use.ServiceName, use.Region = k.Service, k.Region
	}
	return &keyUsed{u.Name, use}, nil
}

// purposes are our tokens as AWS's services have them.
var purposes = map[string]access.Purpose{"codecommit.amazonaws.com": access.Git, "firehose.amazonaws.com": access.Intake}

func serviceOf(p access.Purpose) string {
	for name, purpose := range purposes {
		if purpose == p {
			return name
		}
	}
	return ""
}

func (s *service) createSecret(ctx context.Context, c *wire.Call, in *input) (*oneSecret, error) {
	p, ok := purposes[in.ServiceName]
	if !ok {
		return nil, wire.Errorf("NotSupportedService", "Tokens are for codecommit.amazonaws.com (git) or firehose.amazonaws.com (log senders), not for %s.", in.ServiceName)
	}
	if in.CredentialAgeDays != 0 {
		return nil, fault.Unsupported.Errorf("tokens do not end by themselves here: leave CredentialAgeDays out, and delete them")
	}
	t, value, err := s.access.CreateToken(ctx, user(c, in), p)
	out := outSecret(t)
	out.ServicePassword = value.Reveal()
	return &oneSecret{out}, err
}

func outSecret(t access.Token) secretID {
	return secretID{CreateDate: at(t.Created), ServiceName: serviceOf(t.Purpose), ServiceUserName: t.User, ID: t.ID, UserName: t.User, Status: "Active"}
}

func (s *service) listSecrets(ctx context.Context, c *wire.Call, in *input) (*allSecrets, error) {
	if in.AllUsers {
		return nil, fault.Unsupported.Errorf("the tokens of all users at once are not listed here: ask user by user")
	}
	u, err := s.seen(ctx, c, in)
	if err != nil {
		return nil, err
	}
	var all []secretID
	for _, t := range u.Tokens {
		if out := outSecret(t); in.ServiceName == "" || in.ServiceName == out.ServiceName {
			all = append(all, out)
		}
	}
	part, m, err := page(in, all, func(c *secretID) string { return c.ID })
	return &allSecrets{part, m}, err
}
