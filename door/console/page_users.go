package console

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// People changes who there is and what they may do.
type People interface {
	Users(ctx context.Context) ([]access.User, error)
	CreateUser(ctx context.Context, name string, policies ...string) error
	DeleteUser(ctx context.Context, user string) error
	Attach(ctx context.Context, user, policy string) error
	Detach(ctx context.Context, user, policy string) error
	SetPassword(ctx context.Context, user string, password seal.Secret) error
	CreateKey(ctx context.Context, user string) (id string, secret seal.Secret, err error)
	SetKey(ctx context.Context, user, id string, active bool) error
	DeleteKey(ctx context.Context, user, id string) error
	CreateToken(ctx context.Context, user string, purpose access.Purpose) (access.Token, seal.Secret, error)
	DeleteToken(ctx context.Context, user, id string) error
	UserARN(name string) string

	Directory(ctx context.Context) (*access.Directory, error)
	RoleUsed(ctx context.Context) (map[string]time.Time, error)
	CreateGroup(ctx context.Context, name, path string) error
	DeleteGroup(ctx context.Context, name string) error
	Join(ctx context.Context, group, user string) error
	Leave(ctx context.Context, group, user string) error
	AttachTo(ctx context.Context, o access.Owner, policy string) error
	DetachFrom(ctx context.Context, o access.Owner, policy string) error
	CreateDevice(ctx context.Context, name, path string, tags map[string]string) (access.Seed, error)
	EnableDevice(ctx context.Context, user, serial, code1, code2 string) (recovery []seal.Secret, err error)
	DisableDevice(ctx context.Context, user, serial string) error
	DeleteDevice(ctx context.Context, serial string) error
}

// made is a credential that is shown this once.
type made struct{ Title, ID, Value string }

type usersView struct {
	Users    []access.User
	Groups   []groupRow
	Roles    []roleRow
	Policies []string
	Me       string
	Made     *made
	Enrol    *enrolment // a second factor that is being set up
}

type groupRow struct {
	Name, ARN string
	Policies  []string
	Inline    int
	Members   []string
}

type roleRow struct {
	Name, ARN, Trust string
	Policies         []string
	Inline           int
	Boundary         string
	Used             time.Time
}

func (o *Console) users() page {
	// Each action asks for itself on the user that the form names.
	on := func(name string) func(*request) []iam.Request {
		return func(r *request) []iam.Request {
			return r.ask("iam:"+name, o.config.People.UserARN(r.PostFormValue("user")))
		}
	}
	p := page{
		name: "users", path: "/users", nav: "Users",
		asks: func(r *request) []iam.Request { return r.ask("iam:ListUsers", "") },
		view: func(r *request) (any, error) { return o.usersView(r, nil) },
	}
	people := o.config.People
	inGroup := func(name string) func(*request) []iam.Request {
		return func(r *request) []iam.Request {
			d, err := people.Directory(r.Context())
			if err != nil {
				return r.ask("iam:"+name, "") // on everything, which is more to ask for
			}
			return r.ask("iam:"+name, d.OwnerARN(access.GroupNamed(r.PostFormValue("group"))))
		}
	}
	p.actions = map[string]action{
		"/users/create": {asks: on("CreateUser"), do: func(r *request) (string, error) {
			if err := people.CreateUser(r.Context(), r.PostFormValue("user"), r.PostForm["policy"]...); err != nil {
				return "", err
			}
			r.say("The user was made. Give them a password, an access key or a git password.")
			return "/users", nil
		}},
		"/users/delete": {asks: on("DeleteUser"), do: func(r *request) (string, error) {
			if r.PostFormValue("user") == r.principal.Name {
				return "", fault.Conflict.Errorf("%s", r.t("You cannot delete yourself."))
			}
			return "/users", people.DeleteUser(r.Context(), r.PostFormValue("user"))
		}},
		"/users/attach": {asks: on("AttachUserPolicy"), do: func(r *request) (string, error) {
			return "/users", people.Attach(r.Context(), r.PostFormValue("user"), r.PostFormValue("policy"))
		}},
		"/users/detach": {asks: on("DetachUserPolicy"), do: func(r *request) (string, error) {
			return "/users", people.Detach(r.Context(), r.PostFormValue("user"), r.PostFormValue("policy"))
		}},
		"/users/password": {asks: func(r *request) []iam.Request {
			if r.PostFormValue("user") == r.principal.Name {
				return on("ChangePassword")(r)
			}
			return on("UpdateLoginProfile")(r)
		}, do: func(r *request) (string, error) {
			if err := people.SetPassword(r.Context(), r.PostFormValue("user"), seal.Secret(r.PostFormValue("password"))); err != nil {
				return "", err
			}
			r.say("The password was set; sessions of that user have ended.")
			return "/users", nil
		}},
		"/users/key": {asks: on("CreateAccessKey"), show: func(r *request) (any, error) {
			id, secret, err := people.CreateKey(r.Context(), r.PostFormValue("user"))
			if err != nil {
				return nil, err
			}
			return o.usersView(r, &made{r.t("Access key of %s", r.PostFormValue("user")), id, secret.Reveal()})
		}},
		"/users/key-state": {asks: on("UpdateAccessKey"), do: func(r *request) (string, error) {
			return "/users", people.SetKey(r.Context(), r.PostFormValue("user"), r.PostFormValue("id"), r.PostFormValue("active") == "true")
		}},
		"/users/key-delete": {asks: on("DeleteAccessKey"), do: func(r *request) (string, error) {
			return "/users", people.DeleteKey(r.Context(), r.PostFormValue("user"), r.PostFormValue("id"))
		}},
		"/users/token": {asks: on("CreateServiceSpecificCredential"), show: func(r *request) (any, error) {
			t, value, err := people.CreateToken(r.Context(), r.PostFormValue("user"), access.Purpose(r.PostFormValue("purpose")))
			if err != nil {
				return nil, err
			}
			return o.usersView(r, &made{r.t("Token of %s for %s", t.User, string(t.Purpose)), t.User, value.Reveal()})
		}},
		"/users/group": {asks: inGroup("CreateGroup"), do: func(r *request) (string, error) {
			return "/users#groups", people.CreateGroup(r.Context(), r.PostFormValue("group"), "/")
		}},
		"/users/group-delete": {asks: inGroup("DeleteGroup"), do: func(r *request) (string, error) {
			return "/users#groups", people.DeleteGroup(r.Context(), r.PostFormValue("group"))
		}},
		"/users/group-attach": {asks: inGroup("AttachGroupPolicy"), do: func(r *request) (string, error) {
			return "/users#groups", people.AttachTo(r.Context(), access.GroupNamed(r.PostFormValue("group")), r.PostFormValue("policy"))
		}},
		"/users/group-detach": {asks: inGroup("DetachGroupPolicy"), do: func(r *request) (string, error) {
			return "/users#groups", people.DetachFrom(r.Context(), access.GroupNamed(r.PostFormValue("group")), r.PostFormValue("policy"))
		}},
		"/users/join": {asks: inGroup("AddUserToGroup"), do: func(r *request) (string, error) {
			return "/users#groups", people.Join(r.Context(), r.PostFormValue("group"), r.PostFormValue("user"))
		}},
		"/users/leave": {asks: inGroup("RemoveUserFromGroup"), do: func(r *request) (string, error) {
			return "/users#groups", people.Leave(r.Context(), r.PostFormValue("group"), r.PostFormValue("user"))
		}},
		"/users/mfa": {asks: func(r *request) []iam.Request {
			user := r.PostFormValue("user")
			return append(on("EnableMFADevice")(r), r.ask("iam:CreateVirtualMFADevice", strings.Replace(people.UserARN("x"), ":user/x", ":mfa/", 1)+user)...)
		}, show: func(r *request) (any, error) {
			e, err := o.enrol(r, r.PostFormValue("user"))
			if err != nil {
				return nil, err
			}
			v, err := o.usersView(r, nil)
			v.Enrol = e
			return v, err
		}},
		"/users/mfa-enable": {asks: on("EnableMFADevice"), show: func(r *request) (any, error) {
			user := r.PostFormValue("user")
			codes, err := people.EnableDevice(r.Context(), user, r.PostFormValue("serial"), strings.TrimSpace(r.PostFormValue("code1")), strings.TrimSpace(r.PostFormValue("code2")))
			if errors.Is(err, access.ErrCode) {
				return nil, fault.Invalid.Errorf("%s", r.t("These are not two codes in a row of that device. Go back, wait for the next code, and try again."))
			}
			if err != nil {
				return nil, err
			}
			var lines []string
			for _, c := range codes {
				lines = append(lines, c.Reveal())
			}
			return o.usersView(r, &made{r.t("Recovery codes of %s: each stands in for the app once", user), user, strings.Join(lines, "\n")})
		}},
		"/users/mfa-off": {asks: func(r *request) []iam.Request {
			return append(on("DeactivateMFADevice")(r), r.ask("iam:DeleteVirtualMFADevice", r.PostFormValue("serial"))...)
		}, do: func(r *request) (string, error) {
			if err := people.DisableDevice(r.Context(), r.PostFormValue("user"), r.PostFormValue("serial")); err != nil {
				return "", err
			}
			return "/users", people.DeleteDevice(r.Context(), r.PostFormValue("serial"))
		}},
		"/users/token-delete": {asks: on("DeleteServiceSpecificCredential"), do: func(r *request) (string, error) {
			return "/users", people.DeleteToken(r.Context(), r.PostFormValue("user"), r.PostFormValue("id"))
		}},
	}
	return p
}

func (o *Console) usersView(r *request, m *made) (usersView, error) {
	v := usersView{Policies: access.Managed(), Me: r.principal.Name, Made: m}
	users, err := o.config.People.Users(r.Context())
	if err != nil {
		return v, err
	}
	d, err := o.config.People.Directory(r.Context())
	if err != nil {
		return v, err
	}
	used, err := o.config.People.RoleUsed(r.Context())
	if err != nil {
		return v, err
	}
	v.Users = users
	for i := range d.Policies {
		if p := &d.Policies[i]; !p.Ours {
			v.Policies = append(v.Policies, d.PolicyARN(p))
		}
	}
	for i := range d.Groups {
		g := &d.Groups[i]
		v.Groups = append(v.Groups, groupRow{g.Name, d.GroupARN(g), short(g.Attached), len(g.Inline), g.Members})
	}
	for i := range d.Roles {
		role := &d.Roles[i]
		v.Roles = append(v.Roles, roleRow{role.Name, d.RoleARN(role), role.Trust, short(role.Attached), len(role.Inline), strings.Join(short([]string{role.Boundary}), ""), used[d.RoleARN(role)]})
	}
	return v, nil
}

// short are policies by name where they come with Haechi.
func short(arns []string) (names []string) {
	for _, arn := range arns {
		names = append(names, strings.TrimPrefix(arn, "arn:aws:iam::aws:policy/"))
	}
	return names
}
