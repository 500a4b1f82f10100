// Package vault keeps secrets that builds and targets need: sealed, with their versions, and told only to who may have them.
//
// A secret has versions, each with a value; labels say which is which. AWSCURRENT is
// the one that counts, AWSPREVIOUS the one that did before, AWSPENDING the one that is about to.
// A value is sealed for its secret and its version, so that whoever can write to the database cannot
// put one secret in the place of another.
package vault

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Labels that versions of secrets have.
const (
	Current  = "AWSCURRENT"
	Previous = "AWSPREVIOUS"
	Pending  = "AWSPENDING"
)

// Limits of what is kept, Secrets Manager's where it has one.
const (
	MaxValue     = 64 << 10 // bytes of a value
	maxSecrets   = 10_000
	maxVersions  = 100 // of a secret: those without a label make room
	maxLabels    = 20  // of a version
	maxTags      = 50
	maxPolicy    = 20 << 10
	leastWindow  = 7 // days until a deleted secret is gone
	mostWindow   = 30
	unnamed      = "Secrets Manager can't find the specified secret."
	deleted      = "You can't perform this operation on the secret because it was marked for deletion."
	minTokenSize = 32
	maxTokenSize = 64
)

// Config is what a Vault needs. DB, Sealer, Account and Region must be given.
type Config struct {
	DB      *db.DB // with Schema
	Sealer  *seal.Sealer
	Account string // 12 digits
	Region  string
	Log     *slog.Logger
	Now     func() time.Time
}

// Vault is the keeper. It is safe for concurrent use.
type Vault struct{ config Config }

// New is the keeper.
func New(c Config) *Vault {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Vault{c}
}

// Schema is the keeper's tables.
func Schema() db.Schema {
	return db.Schema{Room: "vault", Steps: []string{`
CREATE TABLE vault_secrets (name TEXT PRIMARY KEY, id TEXT NOT NULL, gone BIGINT NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX vault_secrets_by_id ON vault_secrets (id);
CREATE INDEX vault_secrets_by_gone ON vault_secrets (gone);
CREATE TABLE vault_versions (secret TEXT NOT NULL, version TEXT NOT NULL, created BIGINT NOT NULL, accessed BIGINT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (secret, version))`, `
CREATE TABLE vault_parameters (name TEXT PRIMARY KEY, version BIGINT NOT NULL, tags BLOB NOT NULL);
CREATE TABLE vault_parameter_versions (name TEXT NOT NULL, version BIGINT NOT NULL, value TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (name, version))`}}
}

// Secret is what is known of a secret besides its values.
type Secret struct {
	Name        string
	ID          string // the name, a hyphen and six characters: the end of its ARN
	Description string `json:",omitzero"`
	KMSKey      string `json:",omitzero"` // kept for who set it; values are sealed under our own root key
	Created     time.Time
	Changed     time.Time
	Accessed    time.Time         `json:",omitzero"` // the day on which a value was last told
	Deleted     time.Time         `json:",omitzero"` // when somebody deleted it
	Gone        time.Time         `json:",omitzero"` // when it is gone for good
	Tags        map[string]string `json:",omitzero"`
	Labels      map[string]string `json:",omitzero"` // version by label
	Policy      string            `json:",omitzero"` // who may do what with it, in IAM's language
}

// LabelsOf are the labels of a version, in order.
func (s *Secret) LabelsOf(version string) (labels []string) {
	for label, v := range s.Labels {
		if v == version {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	return labels
}

// ARN is the secret's.
func (v *Vault) ARN(s Secret) string { return v.arn(s.ID) }

func (v *Vault) arn(id string) string {
	return "arn:aws:secretsmanager:" + v.config.Region + ":" + v.config.Account + ":secret:" + id
}

var nameForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]{1,512}$`) })

func (s *Secret) check() error {
	switch {
	case !nameForm().MatchString(s.Name):
		return fault.Invalid.Errorf("Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	case len(s.Description) > 2048:
		return fault.Invalid.Errorf("a description has at most 2,048 bytes")
	}
	return checkTags(s.Tags)
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return fault.Limit.Errorf("there are at most %d tags on one thing", maxTags)
	}
	for k, value := range tags {
		if n := len([]rune(k)); n < 1 || n > 128 || len([]rune(value)) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return fault.Invalid.Errorf("a tag has a key of 1 to 128 characters that does not begin with aws:, and a value of at most 256, not %q", k)
		}
	}
	return nil
}

func scanSecret(scan db.Scan) (s Secret, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}

func (s Secret) keep(tx *db.Tx) error {
	body, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		return err
	}
	gone := int64(0)
	if !s.Gone.IsZero() {
		gone = s.Gone.UnixMicro()
	}
	_, err = tx.Exec("INSERT INTO vault_secrets (name, id, gone, body) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET gone = excluded.gone, body = excluded.body", s.Name, s.ID, gone, body)
	return err
}

// find is the secret of a name, an ARN, or an ARN without its last six characters.
func (v *Vault) find(tx *db.Tx, id string) (Secret, error) {
	if !strings.HasPrefix(id, "arn:") {
		s, err := db.One(tx, scanSecret, "SELECT body FROM vault_secrets WHERE name = ?", id)
		return s, unknown(err)
	}
	tail, ok := strings.CutPrefix(id, v.arn(""))
	if !ok {
		return Secret{}, fault.NotFound.Errorf(unnamed)
	}
	s, err := db.One(tx, scanSecret, "SELECT body FROM vault_secrets WHERE id = ?", tail)
	if fault.Of(err) == fault.NotFound {
		s, err = db.One(tx, scanSecret, "SELECT body FROM vault_secrets WHERE name = ?", tail)
	}
	return s, unknown(err)
}

func unknown(err error) error {
	if fault.Of(err) == fault.NotFound {
		return fault.NotFound.Errorf(unnamed)
	}
	return err
}

// usable is find, and refuses a secret that somebody has deleted.
func (v *Vault) usable(tx *db.Tx, id string) (Secret, error) {
	s, err := v.find(tx, id)
	if err == nil && !s.Gone.IsZero() {
		return s, fault.Conflict.Errorf(deleted)
	}
	return s, err
}

// Secret is what is known of one, also while it can still be restored.
func (v *Vault) Secret(ctx context.Context, id string) (s Secret, err error) {
	err = v.config.DB.Read(ctx, func(tx *db.Tx) error {
		s, err = v.find(tx, id)
		return err
	})
	return s, err
}

// Secrets are all, by name.
func (v *Vault) Secrets(ctx context.Context) (all []Secret, err error) {
	err = v.config.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanSecret, "SELECT body FROM vault_secrets ORDER BY name")
		return err
	})
	return all, err
}

// change changes what is known of a secret.
func (v *Vault) change(ctx context.Context, id string, change func(*db.Tx, *Secret) error) (s Secret, err error) {
	err = v.config.DB.Write(ctx, func(tx *db.Tx) error {
		if s, err = v.usable(tx, id); err != nil {
			return err
		}
		if err := change(tx, &s); err != nil {
			return err
		}
		if err := s.check(); err != nil {
			return err
		}
		return s.keep(tx)
	})
	return s, err
}

// Create keeps a new secret; without a value it has no version yet. Asked again
// with the same token and value, it answers the same.
func (v *Vault) Create(ctx context.Context, s Secret, value *Value, token string) (_ Secret, version string, err error) {
	if err := s.check(); err != nil {
		return s, "", err
	}
	if token, err = check(value, token); err != nil {
		return s, "", err
	}
	err = v.config.DB.Write(ctx, func(tx *db.Tx) error {
		was, err := v.find(tx, s.Name)
		switch {
		case err == nil && !was.Gone.IsZero():
			return fault.Conflict.Errorf("You can't create this secret because a secret with this name is already scheduled for deletion.")
		case err == nil:
			same, err := v.same(tx, was, value, token)
			if err == nil && !same {
				err = fault.Exists.Errorf("The operation failed because the secret %s already exists.", s.Name)
			}
			s, version = was, token
			return err
		case fault.Of(err) != fault.NotFound:
			return err
		}
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM vault_secrets")
		if err != nil {
			return err
		}
		if n >= maxSecrets {
			return fault.Limit.Errorf("%d secrets are kept, and no more", maxSecrets)
		}
		s.ID = s.Name + "-" + suffix()
		s.Created = v.config.Now().UTC()
		s.Changed, s.Labels = s.Created, nil
		if value != nil {
			version = token
			if err := v.put(tx, &s, *value, token, []string{Current}); err != nil {
				return err
			}
		}
		return s.keep(tx)
	})
	return s, version, err
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// suffix is what keeps a policy for a deleted secret from being good for its successor.
func suffix() string {
	random := make([]byte, 6)
	_, _ = rand.Read(random) // never fails
	for i, b := range random {
		random[i] = letters[int(b)%len(letters)] // a little uneven, and no secret
	}
	return string(random)
}

// Edit is what to change of a secret; nil leaves it as it is.
type Edit struct {
	Description, KMSKey *string
	Value               *Value // a new version, which becomes the current one
}

// Update changes a secret.
func (v *Vault) Update(ctx context.Context, id string, e Edit, token string) (s Secret, version string, err error) {
	if token, err = check(e.Value, token); err != nil {
		return s, "", err
	}
	s, err = v.change(ctx, id, func(tx *db.Tx, s *Secret) error {
		if e.Description != nil {
			s.Description = *e.Description
		}
		if e.KMSKey != nil {
			s.KMSKey = *e.KMSKey
		}
		s.Changed = v.config.Now().UTC()
		if e.Value == nil {
			return nil
		}
		version = token
		return v.putOnce(tx, s, *e.Value, token, []string{Current})
	})
	return s, version, err
}

// Tag sets tags and takes others away.
func (v *Vault) Tag(ctx context.Context, id string, set map[string]string, drop []string) error {
	_, err := v.change(ctx, id, func(_ *db.Tx, s *Secret) error {
		if s.Tags == nil {
			s.Tags = map[string]string{}
		}
		maps.Copy(s.Tags, set)
		for _, k := range drop {
			delete(s.Tags, k)
		}
		s.Changed = v.config.Now().UTC()
		return nil
	})
	return err
}

// SetPolicy sets the policy of a secret, or takes it away where it is "".
func (v *Vault) SetPolicy(ctx context.Context, id, policy string) (Secret, error) {
	if len(policy) > maxPolicy {
		return Secret{}, fault.Limit.Errorf("a policy has at most %d bytes", maxPolicy)
	}
	if policy != "" {
		if _, err := iam.ParseAs(iam.Resource, "secret", []byte(policy)); err != nil {
			return Secret{}, fault.Invalid.Wrap(err)
		}
	}
	return v.change(ctx, id, func(_ *db.Tx, s *Secret) error {
		s.Policy = policy
		return nil
	})
}

// Delete takes a secret away after a number of days, during which it can be restored; 0 is at once.
func (v *Vault) Delete(ctx context.Context, id string, days int) (s Secret, err error) {
	if days != 0 && (days < leastWindow || days > mostWindow) {
		return s, fault.Invalid.Errorf("The RecoveryWindowInDays value must be between %d and %d days (inclusive).", leastWindow, mostWindow)
	}
	err = v.config.DB.Write(ctx, func(tx *db.Tx) error {
		if s, err = v.find(tx, id); err != nil {
			return err
		}
		if !s.Gone.IsZero() && days > 0 {
			return fault.Conflict.Errorf(deleted)
		}
		s.Deleted = v.config.Now().UTC()
		s.Gone = s.Deleted.AddDate(0, 0, days)
		if days == 0 {
			return s.remove(tx)
		}
		return s.keep(tx)
	})
	return s, err
}

func (s Secret) remove(tx *db.Tx) error {
	if _, err := tx.Exec("DELETE FROM vault_versions WHERE secret = ?", s.ID); err != nil {
		return err
	}
	_, err := tx.Exec("DELETE FROM vault_secrets WHERE name = ?", s.Name)
	return err
}

// Restore brings a secret back that is not gone yet.
func (v *Vault) Restore(ctx context.Context, id string) (s Secret, err error) {
	err = v.config.DB.Write(ctx, func(tx *db.Tx) error {
		if s, err = v.find(tx, id); err != nil {
			return err
		}
		s.Deleted, s.Gone = time.Time{}, time.Time{}
		return s.keep(tx)
	})
	return s, err
}

// Run takes away what is over, and seals anew what is under an old root key, until ctx ends.
func (v *Vault) Run(ctx context.Context) error {
	for {
		if err := v.tidy(ctx); err != nil && ctx.Err() == nil {
			v.config.Log.Warn("the vault was not tidied", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Hour):
		}
	}
}

func (v *Vault) tidy(ctx context.Context) error {
	err := v.config.DB.Write(ctx, func(tx *db.Tx) error {
		over, err := db.All(tx, scanSecret, "SELECT body FROM vault_secrets WHERE gone > 0 AND gone <= ?", v.config.Now().UnixMicro())
		if err != nil {
			return err
		}
		for _, s := range over {
			if err := s.remove(tx); err != nil {
				return fmt.Errorf("removing %s: %w", s.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := v.reseal(ctx); err != nil {
		return err
	}
	return v.resealParameters(ctx)
}

// PolicyOf is the policy that a secret has itself, or nil for what has none, or is no secret.
func (v *Vault) PolicyOf(ctx context.Context, arn string) (*iam.Policy, error) {
	if !strings.HasPrefix(arn, v.arn("")) {
		return nil, nil
	}
	s, err := v.Secret(ctx, arn)
	if fault.Of(err) == fault.NotFound || err == nil && s.Policy == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return iam.ParseAs(iam.Resource, s.Name, []byte(s.Policy))
}
