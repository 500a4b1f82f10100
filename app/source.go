package app

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/gitdoor"
	"github.com/haechi-dev/haechi/door/wire/codecommit"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// The tags of users and roles that pull requests ask for.
const (
	tagEmail  = "email"         // of a user: the addresses that their commits bear
	tagRobot  = "haechi:robot"  // of a user: true for one that is a program
	tagPeople = "haechi:people" // of a role: true for one whose sessions are people's
)

// buildSource builds the keeper of repositories.
func (a *App) buildSource(ctx context.Context) error {
	salt, err := a.once(ctx, "scan.salt")
	if err != nil {
		return err
	}
	key, err := a.sourceKey(ctx)
	if err != nil {
		return err
	}
	c := &a.Config
	a.Source = source.New(source.Config{
		DB: a.DB, Bus: a.Bus, Dir: filepath.Join(c.Data, "repos"), Account: c.Account, Region: c.Region, Log: a.log, Now: a.now,
		Keep: a.keep, Fresh: a.Hub.NewSince, Incoming: protection{secret.New(salt)}.check, Key: key,
	})
	return nil
}

// sourceKey signs what the server commits: made at the first start, and kept sealed. Where the root key is
// another, nothing is signed: CheckKey says so in its own words.
func (a *App) sourceKey(ctx context.Context) (ssh.Signer, error) {
	row := seal.Row{Table: "app_once", ID: "source.key", Column: "value"}
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	made, err := a.sealer.Seal(row, seal.Secret(seed))
	if err != nil {
		return nil, err
	}
	var kept []byte
	err = a.DB.Write(ctx, func(tx *db.Tx) error {
		kept, err = db.One(tx, db.Value[[]byte], "SELECT value FROM app_once WHERE name = ?", row.ID)
		if !errors.Is(err, fault.NotFound) {
			return err
		}
		kept = []byte(made)
		_, err = tx.Exec("INSERT INTO app_once (name, value) VALUES (?, ?)", row.ID, kept)
		return err
	})
	if err != nil {
		return nil, err
	}
	open, err := a.sealer.Open(row, string(kept))
	if err != nil {
		a.log.Warn("the key that signs merges cannot be opened: merges are not signed", "error", err)
		return nil, nil
	}
	return ssh.NewSignerFromKey(ed25519.NewKeyFromSeed([]byte(open.Reveal())))
}

// person is who asks, as pull requests know people. A user is a person unless tagged otherwise, the session
// of a role none unless people sign in by that role.
func (a *App) person(ctx context.Context, who iam.Principal) source.Person {
	p := source.Person{ARN: who.ARN, Name: who.Name, Robot: true}
	if p.Name == "" {
		p.Name = who.ARN[strings.LastIndexAny(who.ARN, "/:")+1:]
	}
	if strings.Contains(p.Name, "@") {
		p.Emails = []string{p.Name}
	}
	d, err := a.Access.Directory(ctx)
	if err != nil {
		a.log.Error("asking who somebody is", "who", who.ARN, "error", err)
		return p
	}
	switch who.Type {
	case "User":
		u, err := d.User(who.Name)
		if err != nil {
			return p
		}
		p.Robot = u.Tags[tagRobot] == "true"
		p.Emails = append(p.Emails, strings.FieldsFunc(u.Tags[tagEmail], func(r rune) bool { return r == ' ' || r == ',' || r == ';' })...)
		p.Groups = slices.Clone(u.Groups)
	case "Account":
		p.Robot = false
	case "AssumedRole":
		name := who.Issuer[strings.LastIndexByte(who.Issuer, '/')+1:]
		role, err := d.Role(name)
		if err != nil {
			return p
		}
		p.Robot = role.Tags[tagPeople] != "true" && !a.signsIn(name)
		p.Groups = []string{name}
	}
	return p
}

// signsIn tells whether people get a role by signing in.
func (a *App) signsIn(role string) bool {
	for _, l := range a.logins {
		for _, m := range l.Roles {
			if m.Role[strings.LastIndexByte(m.Role, '/')+1:] == role {
				return true
			}
		}
	}
	return false
}

// codecommit is what CodeCommit's API answers from.
func (a *App) codecommit() codecommit.Config {
	return codecommit.Config{
		Source: a.Source, Account: a.Config.Account, Region: a.Config.Region, Person: a.person,
		URL: func(repository string) string { return a.page(gitdoor.Prefix + repository) },
	}
}

// protection is push protection for the commits that the server makes for people.
type protection struct{ scanner *secret.Scanner }

func (p protection) check(_ context.Context, repository string, edits []git.Edit) error {
	scanner := p.scanner.Of(repository)
	for _, e := range edits {
		for _, f := range scanner.Check(e.Path, e.Content) {
			place := f.Place()
			return fault.Denied.Errorf("%s holds a secret (%s): revoke it, and keep it elsewhere; nothing was committed", diag.Place{File: place.File, Line: place.Line}.String(), f.Title)
		}
	}
	return nil
}
