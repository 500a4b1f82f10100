package source_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/pgp/pgptest"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// What git signs with gpg counts as what it signs with ssh does: for whom the key is, while it is good.
func TestOpenPGP(t *testing.T) {
	gpg := pgptest.New(t)
	fingerprint := gpg.Make("Ada <ada@example.com>", "ed25519", "cert", "2d")
	gpg.Run("", "--quick-add-key", fingerprint, "ed25519", "sign", "1d")
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.clone.Env = gpg.Env()
		h.clone.Git("config", "user.signingkey", fingerprint)
		h.clone.Commit("base", map[string]string{"a": "1\n"})
		base := h.land("main", "bob")
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Signed: true}}})
		ask := func(to string) error {
			h.fetched(to)
			return h.Intend(ctx, h.repo, source.Push{ID: bus.ID(), Repository: "shop", Who: ada.ARN, Updates: []source.Update{{Ref: "refs/heads/main", Old: base, New: to}}})
		}
		h.clone.Git("commit", "-q", "--allow-empty", "-S", "-m", "signed")
		signed := h.clone.Git("rev-parse", "HEAD")
		refused(t, "a key that nobody knows", ask(signed), "nobody here owns")
		sg, err := h.AddSigner(ctx, source.Signer{Owner: ada.ARN, Key: gpg.Export(fingerprint)})
		if err != nil || sg.Fingerprint != fingerprint || len(sg.Emails) != 1 || len(sg.IDs) != 1 || sg.Expires.IsZero() {
			t.Fatalf("%+v %v", sg, err)
		}
		if err := ask(signed); err != nil {
			t.Errorf("signed by ada: %v", err)
		}
		// Who commits as somebody else, or says something else by the same signature.
		h.clone.Env = append(gpg.Env(), "GIT_COMMITTER_EMAIL=bob@example.com")
		h.clone.Git("commit", "-q", "--amend", "--allow-empty", "-S", "-m", "as bob")
		refused(t, "ada's key, as bob", ask(h.clone.Git("rev-parse", "HEAD")), "committed as bob@example.com")
		forged := write(t, strings.Replace(h.clone.Git("cat-file", "commit", signed), "\n\nsigned", "\n\nforged", 1)+"\n")
		refused(t, "over another text", ask(h.clone.Git("hash-object", "-t", "commit", "-w", forged)), "is not over this text")

		// Tags, too.
		h.clone.Env = gpg.Env()
		h.clone.Git("tag", "-s", "-m", "the first", "v1", signed)
		h.clone.Git("tag", "-a", "-m", "not signed\n\n-----BEGIN NOTHING-----", "v2", signed)
		h.git("refs/tags/*:refs/tags/*")
		tags, err := h.repo.Tags(ctx, 10)
		if err != nil || len(tags) != 2 {
			t.Fatalf("%+v %v", tags, err)
		}
		for _, tag := range tags {
			got, err := h.VerifyTags(ctx, "shop", tag.ID)
			if err != nil || len(got) != 1 || got[0].Verified != (tag.Name == "v1") {
				t.Errorf("%s: %+v %v", tag.Name, got, err)
			}
		}

		// After its end a key signs nothing that comes from then on; what is here stays verified.
		h.later = 36 * time.Hour
		refused(t, "the subkey has expired", ask(signed), "the subkey has expired on")
		h.later = 72 * time.Hour
		refused(t, "the key has expired", ask(signed), "the key has expired on")
		if got, err := h.Verify(ctx, "shop", signed); err != nil || !got[0].Verified {
			t.Errorf("what is here already: %+v %v", got, err)
		}
		h.later = 0

		// Somebody else does not sign for ada's address.
		if _, err := h.AddSigner(ctx, source.Signer{Owner: bob.ARN, Key: gpg.Export(gpg.Make("Bob <bob@example.com>", "ed25519", "sign", "never", "--faked-system-time", "20240101T000000!")), Emails: []string{"ADA@example.com"}}); !errors.Is(err, fault.Exists) {
			t.Errorf("bob signs for ada: %v", err)
		}
		gpg.Run("", "--delete-secret-and-public-key", gpg.Fingerprints("bob@example.com")[0])
		if err := h.DropSigner(ctx, fingerprint); err != nil {
			t.Fatal(err)
		}
		if got, err := h.Verify(ctx, "shop", signed); err != nil || got[0].Verified {
			t.Errorf("the key is known no more: %+v %v", got, err)
		}
	})
}

// refused holds an error against what it is to say.
func refused(t *testing.T, name string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", name, err, want)
	}
}

// A key that was revoked is not made good again by a copy of it from before.
func TestRevokedSigner(t *testing.T) {
	gpg := pgptest.New(t)
	fingerprint := gpg.Make("Ada <ada@example.com>", "ed25519", "sign", "never")
	before := gpg.Export(fingerprint)
	gpg.Run("", "--quick-set-expire", "--faked-system-time", time.Now().Add(time.Hour).UTC().Format("20060102T150405!"), fingerprint, "2y")
	longer := gpg.Export(fingerprint)
	gpg.Revoke(fingerprint)
	revoked := gpg.Export(fingerprint)
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.clone.Env = gpg.Env()
		add := func(key string) error {
			_, err := h.AddSigner(ctx, source.Signer{Owner: ada.ARN, Key: key})
			return err
		}
		if err := errors.Join(add(before), add(longer)); err != nil {
			t.Fatal(err)
		}
		if err := add(before); !errors.Is(err, fault.Conflict) {
			t.Errorf("an older copy: %v", err)
		}
		if err := add(revoked); err != nil {
			t.Fatal(err)
		}
		if err := add(longer); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "does not undo that") {
			t.Errorf("as if it were not revoked: %v", err)
		}
		all, err := h.Signers(ctx)
		if err != nil || len(all) != 1 || all[0].Revoked == "" {
			t.Errorf("%+v %v", all, err)
		}
	})
}

// Whoever signs for an address had a hand in what bears it, whatever else is known of them.
func TestSignersAreMakers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.clone.Commit("base", map[string]string{"a": "1\n"})
		h.land("main", "bob")
		h.clone.Git("checkout", "-q", "-b", "side")
		h.clone.Commit("change", map[string]string{"a": "2\n"})
		h.clone.Git("commit", "-q", "--amend", "--no-edit", "--author", "Z <private@example.org>")
		h.land("side", "ada")
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1}}})
		p, err := h.CreatePull(ctx, source.NewPull{Repository: "shop", Title: "t", Source: "side", Author: ada})
		if err != nil {
			t.Fatal(err)
		}
		h.approve(p, eve)
		if !h.judge(p).Mergeable {
			t.Fatal("nobody knows that eve made it")
		}
		if _, err := h.AddSigner(ctx, source.Signer{Owner: "eve", Emails: []string{"private@example.org"}, Key: sshKey}); err != nil {
			t.Fatal(err)
		}
		if v := h.judge(p); v.Mergeable || len(v.Ignored) != 1 {
			t.Errorf("eve made it: %+v", v)
		}
		if err := h.Approve(ctx, p.Number, p.Revision.ID, eve, true); !errors.Is(err, source.ErrOwn) {
			t.Errorf("eve approves of it: %v", err)
		}
	})
}

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g" // of 1, 2, 3 …
