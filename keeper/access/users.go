package access

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// User is somebody, as an administrator sees them.
type User struct {
	Name     string
	ID       string // AIDA…
	ARN      string
	Created  time.Time
	Policies []string // managed policies: names of those that come with Haechi, ARNs of others
	Groups   []string // by name
	Password bool     // may sign in to the console
	Locked   time.Time
	SignedIn time.Time // last, with a password; zero if never
	Device   string    // serial number of the MFA device that is enabled, or ""
	Keys     []Key
	Tokens   []Token
	Holder

	PasswordSet time.Time // zero if it was before this was noted, or never
	MustChange  bool      // the password, at the next sign-in
	Recovery    int       // codes that are left, each good once
}

// Key is an access key without its secret.
type Key struct {
	ID      string // AKIA…
	User    string
	Active  bool
	Created time.Time
	Used    time.Time // zero if never
	Service string    // it was used for last, or ""
	Region  string
}

// Token is a credential for one purpose, without its value.
type Token struct {
	ID      string // ACCA…
	User    string
	Purpose Purpose
	Created time.Time
}

// Purpose is what a token is good for, and the only thing.
type Purpose string

const (
	Git    Purpose = "git"    // the password of git over HTTP
	Intake Purpose = "intake" // the access key of Firehose, or a bearer token of log senders
)

// CreateUser makes a user with the managed policies named.
func (a *Access) CreateUser(ctx context.Context, name string, policies ...string) error {
	return a.AddUser(ctx, name, Holder{Attached: policies})
}

// AddUser is CreateUser for one who holds more than policies.
func (a *Access) AddUser(ctx context.Context, name string, h Holder) error {
	if err := named("user", name, &h.Path); err != nil {
		return err
	}
	return a.change(ctx, func(tx *db.Tx) error {
		if err := unlike(tx, "", name); err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO access_users (name, id, created, password, failures, locked_until, signed_in, doc) VALUES (?, ?, ?, '', 0, 0, 0, '')", name, newID("AIDA"), a.now().UnixMicro()); err != nil {
			return err
		}
		return editUser(tx, name, func(d *userDoc) error { return a.begins(tx, &d.Holder, h) })
	})
}

// unlike refuses a name that another than user has, but for case.
func unlike(tx *db.Tx, user, name string) error {
	names, err := db.All(tx, db.Value[string], "SELECT name FROM access_users ORDER BY name")
	if err == nil && slices.ContainsFunc(names, func(n string) bool { return n != user && strings.EqualFold(n, name) }) {
		return fault.Exists.Errorf("User with name %s already exists.", name)
	}
	return err
}

// begins is what somebody new holds, checked.
func (a *Access) begins(tx *db.Tx, h *Holder, want Holder) (err error) {
	h.Path = want.Path
	if h.Tags, err = tagged(nil, want.Tags, nil); err != nil {
		return err
	}
	if want.Boundary != "" {
		if _, err := a.policyIn(tx, want.Boundary); err != nil {
			return err
		}
		h.Boundary = policyARN(want.Boundary)
	}
	for _, p := range want.Attached {
		if err := a.attach(tx, h, p); err != nil {
			return err
		}
	}
	return nil
}

// Attach gives a user a managed policy, by name or ARN.
func (a *Access) Attach(ctx context.Context, user, policy string) error {
	return a.AttachTo(ctx, UserNamed(user), policy)
}

// Detach takes a managed policy from a user. The last administrator stays one.
func (a *Access) Detach(ctx context.Context, user, policy string) error {
	return a.DetachFrom(ctx, UserNamed(user), policy)
}

// DeleteUser removes a user with all that is theirs. The last administrator stays.
func (a *Access) DeleteUser(ctx context.Context, user string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		if err := dropUser(tx, user); err != nil {
			return err
		}
		return somebodyIsLeft(tx)
	})
}

// DeleteBareUser removes a user who has nothing any more, as IAM does; else it is fault.Conflict.
func (a *Access) DeleteBareUser(ctx context.Context, user string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		users, err := a.users(tx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(users, func(u User) bool { return u.Name == user })
		if i < 0 {
			return missing("user", user)
		}
		groups, err := groupsOf(tx, user)
		if err != nil {
			return err
		}
		devices, err := devicesOf(tx, user)
		if err != nil {
			return err
		}
		for _, c := range []struct {
			has  bool
			what string
		}{
			{len(users[i].Policies) > 0, "detach all policies"}, {len(users[i].Inline) > 0, "delete policies"}, {len(groups) > 0, "remove users from group"},
			{users[i].Password, "delete login profile"}, {len(users[i].Keys) > 0, "delete access keys"}, {len(devices) > 0, "delete MFA device"},
			{len(users[i].Tokens) > 0, "delete service specific credentials"},
		} {
			if c.has {
				return fault.Conflict.Errorf("Cannot delete entity, must %s first.", c.what)
			}
		}
		return dropUser(tx, user)
	})
}

func dropUser(tx *db.Tx, user string) error {
	err := editGroups(tx, user, func(g *Group) { g.Members, _ = without(g.Members, user) })
	if err != nil {
		return err
	}
	if err := editDevices(tx, user, func(m *Device) { m.User, m.Enabled = "", time.Time{} }); err != nil {
		return err
	}
	for _, table := range []string{"access_policies", "access_keys", "access_tokens", "access_sessions", "access_links", "access_challenges"} {
		if _, err := tx.Exec("DELETE FROM "+table+" WHERE user_name = ?", user); err != nil {
			return err
		}
	}
	_, err = tx.Exec("DELETE FROM access_users WHERE name = ?", user)
	return err
}

func groupsOf(tx *db.Tx, user string) (names []string, err error) {
	groups, err := list[Group](tx, aGroup)
	for _, g := range groups {
		if slices.Contains(g.Members, user) {
			names = append(names, g.Name)
		}
	}
	return names, err
}

// editGroups changes the groups that a user is in.
func editGroups(tx *db.Tx, user string, f func(*Group)) error {
	groups, err := groupsOf(tx, user)
	for _, g := range groups {
		if err := edit(tx, aGroup, g, func(g *Group) error { f(g); return nil }); err != nil {
			return err
		}
	}
	return err
}

// RenameUser gives a user another name, another path, or both; "" leaves it.
// Sessions and temporary credentials of the old name end.
func (a *Access) RenameUser(ctx context.Context, user, name, path string) error {
	if name == "" {
		name = user
	}
	return a.change(ctx, func(tx *db.Tx) error {
		d, err := findUser(tx, user)
		if err != nil {
			return err
		}
		if path != "" {
			d.Path = path
		}
		if err := named("user", name, &d.Path); err != nil {
			return err
		}
		if err := unlike(tx, user, name); err != nil {
			return err
		}
		if err := keepUser(tx, user, d); err != nil || name == user {
			return err
		}
		return moveUser(tx, user, name)
	})
}

func moveUser(tx *db.Tx, user, name string) error {
	if _, err := tx.Exec("UPDATE access_users SET name = ? WHERE name = ?", name, user); err != nil {
		return err
	}
	for _, table := range []string{"access_policies", "access_keys", "access_tokens"} {
		if _, err := tx.Exec("UPDATE "+table+" SET user_name = ? WHERE user_name = ?", name, user); err != nil {
			return err
		}
	}
	for _, table := range []string{"access_sessions", "access_links", "access_challenges"} {
		if _, err := tx.Exec("DELETE FROM "+table+" WHERE user_name = ?", user); err != nil {
			return err
		}
	}
	err := editGroups(tx, user, func(g *Group) { g.Members[slices.Index(g.Members, user)] = name })
	if err != nil {
		return err
	}
	return editDevices(tx, user, func(m *Device) { m.User = name })
}

// somebodyIsLeft refuses a change after which no user is an administrator, of
// itself or by a group.
func somebodyIsLeft(tx *db.Tx) error {
	n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM access_policies WHERE policy = ?", Administrator)
	if err != nil || n > 0 {
		return err
	}
	groups, err := list[Group](tx, aGroup)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if len(g.Members) > 0 && slices.Contains(g.Attached, policyARN(Administrator)) {
			return nil
		}
	}
	return fault.Conflict.Errorf("nobody would be left with %s: give it to somebody else first", Administrator)
}

func userIn(tx *db.Tx, user string) error {
	names, err := db.All(tx, db.Value[string], "SELECT name FROM access_users ORDER BY name")
	if err != nil || slices.Contains(names, user) {
		return err
	}
	if hint := diag.DidYouMean(user, names); hint != "" {
		return fault.NotFound.Errorf("The user with name %s cannot be found: %s", user, hint)
	}
	return missing("user", user)
}

// Users lists everybody, by name, with when they and their keys were seen last.
func (a *Access) Users(ctx context.Context) (users []User, err error) {
	d, err := a.Directory(ctx)
	if err != nil {
		return nil, err
	}
	err = a.config.DB.Read(ctx, func(tx *db.Tx) error {
		users, err = a.users(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	for i := range users {
		if u := d.users[users[i].Name]; u != nil {
			users[i].Groups, users[i].Device = u.Groups, u.Device
		}
	}
	return users, nil
}

func (a *Access) users(tx *db.Tx) ([]User, error) {
	users, err := db.All(tx, func(scan db.Scan) (u User, err error) {
		var created, locked, signed int64
		var password, doc string
		if err = scan(&u.Name, &u.ID, &created, &password, &locked, &signed, &doc); err != nil {
			return u, err
		}
		d, err := readUser(doc)
		u.Holder, u.PasswordSet, u.MustChange, u.Recovery = d.Holder, d.PasswordSet, d.MustChange, len(d.Recovery)
		u.ARN, u.Created, u.Password = a.ownARN("user"+u.Path+u.Name), time.UnixMicro(created), password != ""
		if locked > a.config.Now().UnixMicro() {
			u.Locked = time.UnixMicro(locked)
		}
		if signed > 0 {
			u.SignedIn = time.UnixMicro(signed)
		}
		return u, err
	}, "SELECT name, id, created, password, locked_until, signed_in, doc FROM access_users ORDER BY name")
	if err != nil {
		return nil, err
	}
	of := map[string]*User{}
	for i := range users {
		of[users[i].Name] = &users[i]
	}
	err = tx.Each(func(scan db.Scan) error {
		var user, policy string
		err := scan(&user, &policy)
		if u := of[user]; u != nil {
			u.Policies = append(u.Policies, policy)
			u.Attached = append(u.Attached, policyARN(policy))
		}
		return err
	}, "SELECT user_name, policy FROM access_policies ORDER BY user_name, policy")
	if err != nil {
		return nil, err
	}
	if err := a.keysOf(tx, of); err != nil {
		return nil, err
	}
	return users, tx.Each(func(scan db.Scan) error {
		var t Token
		var created int64
		err := scan(&t.ID, &t.User, (*string)(&t.Purpose), &created)
		t.Created = time.UnixMicro(created)
		if u := of[t.User]; u != nil {
			u.Tokens = append(u.Tokens, t)
		}
		return err
	}, "SELECT id, user_name, purpose, created FROM access_tokens ORDER BY created, id")
}

func (a *Access) keysOf(tx *db.Tx, of map[string]*User) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return tx.Each(func(scan db.Scan) error {
		var k Key
		var active, created, used int64
		err := scan(&k.ID, &k.User, &active, &created, &used, &k.Service, &k.Region)
		k.Active, k.Created = active == 1, time.UnixMicro(created)
		if used > 0 {
			k.Used = time.UnixMicro(used)
		}
		if u, ok := a.used[k.ID]; ok { // not written down yet
			k.Used = u.at
			if u.service != "" {
				k.Service, k.Region = u.service, u.region
			}
		}
		if u := of[k.User]; u != nil {
			u.Keys = append(u.Keys, k)
		}
		return err
	}, "SELECT id, user_name, active, created, used, used_service, used_region FROM access_keys ORDER BY created, id")
}
