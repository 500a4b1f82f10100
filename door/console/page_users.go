package console

import (
	"context"

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
}

// made is a credential that is shown this once.
type made struct{ Title, ID, Value string }

type usersView struct {
	Users    []access.User
	Policies []string
	Me       string
	Made     *made
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
		"/users/token-delete": {asks: on("DeleteServiceSpecificCredential"), do: func(r *request) (string, error) {
			return "/users", people.DeleteToken(r.Context(), r.PostFormValue("user"), r.PostFormValue("id"))
		}},
	}
	return p
}

func (o *Console) usersView(r *request, m *made) (any, error) {
	users, err := o.config.People.Users(r.Context())
	return usersView{users, access.Managed(), r.principal.Name, m}, err
}
