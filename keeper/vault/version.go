package vault

import (
	"context"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Value is a secret's text, or bytes.
type Value struct {
	Secret seal.Secret
	Binary bool
}

// Version is one of a secret.
type Version struct {
	ID       string
	Created  time.Time
	Accessed time.Time // the day on which it was last told; zero for never
	Labels   []string
}

// check checks a value and the token that names its version; "" makes one up.
func check(value *Value, token string) (string, error) {
	switch {
	case value != nil && (len(value.Secret) == 0 || len(value.Secret) > MaxValue):
		return "", fault.Invalid.Errorf("a value has 1 to %d bytes, not %d", MaxValue, len(value.Secret))
	case token == "":
		return bus.ID(), nil
	case len(token) < minTokenSize || len(token) > maxTokenSize:
		return "", fault.Invalid.Errorf("a ClientRequestToken has %d to %d characters: a UUID is one", minTokenSize, maxTokenSize)
	}
	return token, nil
}

func row(secret, version string) seal.Row {
	return seal.Row{Table: "vault_versions", ID: secret + " " + version, Column: "value"}
}

// sealed is a value as it is kept: with what tells text from bytes sealed in.
func (v *Vault) sealed(secret, version string, value Value) (string, error) {
	kind := "s"
	if value.Binary {
		kind = "b"
	}
	return v.config.Sealer.Seal(row(secret, version), seal.Secret(kind)+value.Secret)
}

func (v *Vault) open(secret, version, text string) (Value, error) {
	plain, err := v.config.Sealer.Open(row(secret, version), text)
	if err != nil {
		return Value{}, err
	}
	if len(plain) == 0 {
		return Value{}, seal.Malformed
	}
	return Value{Secret: plain[1:], Binary: plain[0] == 'b'}, nil
}

// same tells whether a version is there already, with that value.
func (v *Vault) same(tx *db.Tx, s Secret, value *Value, version string) (bool, error) {
	if value == nil {
		return false, nil
	}
	text, err := db.One(tx, db.Value[string], "SELECT value FROM vault_versions WHERE secret = ? AND version = ?", s.ID, version)
	if fault.Of(err) == fault.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	was, err := v.open(s.ID, version, text)
	return was == *value, err
}

// putOnce is put, and does nothing for what was put before under that token.
func (v *Vault) putOnce(tx *db.Tx, s *Secret, value Value, token string, labels []string) error {
	same, err := v.same(tx, *s, &value, token)
	if err != nil || same {
		return err
	}
	return v.put(tx, s, value, token, labels)
}

// put keeps a new version and moves labels to it.
func (v *Vault) put(tx *db.Tx, s *Secret, value Value, version string, labels []string) error {
	if err := v.makeRoom(tx, *s); err != nil {
		return err
	}
	text, err := v.sealed(s.ID, version, value)
	if err != nil {
		return err
	}
	n, err := tx.Exec("INSERT INTO vault_versions (secret, version, created, accessed, value) VALUES (?, ?, ?, 0, ?) ON CONFLICT (secret, version) DO NOTHING", s.ID, version, v.config.Now().UnixMicro(), text)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.Exists.Errorf("You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", version, v.ARN(*s))
	}
	for _, label := range labels {
		s.move(label, version)
	}
	if s.Labels[Current] == "" { // the first version counts, whatever else it is
		s.move(Current, version)
	}
	s.Changed = v.config.Now().UTC()
	return nil
}

// makeRoom drops the oldest versions that nobody can name any more.
func (v *Vault) makeRoom(tx *db.Tx, s Secret) error {
	versions, err := db.All(tx, db.Value[string], "SELECT version FROM vault_versions WHERE secret = ? ORDER BY created, version", s.ID)
	if err != nil {
		return err
	}
	left := len(versions)
	for _, id := range versions {
		if left < maxVersions {
			return nil
		}
		if len(s.LabelsOf(id)) > 0 {
			continue
		}
		if _, err := tx.Exec("DELETE FROM vault_versions WHERE secret = ? AND version = ?", s.ID, id); err != nil {
			return err
		}
		left--
	}
	if left < maxVersions {
		return nil
	}
	return fault.Limit.Errorf("a secret has at most %d versions with labels", maxVersions)
}

// move moves a label; the version that was current becomes the previous one.
func (s *Secret) move(label, version string) {
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	was := s.Labels[label]
	s.Labels[label] = version
	if label != Current || was == version {
		return
	}
	if s.Labels[Previous] == version {
		delete(s.Labels, Previous)
	}
	if was != "" {
		s.Labels[Previous] = was
	}
}

// Put keeps another version, with the labels that are given, or as the current one. Asked again with the same token and value, it answers the same.
func (v *Vault) Put(ctx context.Context, id string, value Value, token string, labels []string) (s Secret, version string, err error) {
	if version, err = check(&value, token); err != nil {
		return s, "", err
	}
	if len(labels) == 0 {
		labels = []string{Current}
	}
	if len(labels) > maxLabels {
		return s, "", fault.Limit.Errorf("a version has at most %d labels", maxLabels)
	}
	s, err = v.change(ctx, id, func(tx *db.Tx, s *Secret) error { return v.putOnce(tx, s, value, version, labels) })
	return s, version, err
}

// Move moves a label from one version to another; either may be "", but for the label of the current version.
func (v *Vault) Move(ctx context.Context, id, label, from, to string) (Secret, error) {
	return v.change(ctx, id, func(tx *db.Tx, s *Secret) error {
		at := s.Labels[label]
		for _, version := range []string{from, to} {
			if version == "" {
				continue
			}
			if _, err := db.One(tx, db.Value[string], "SELECT version FROM vault_versions WHERE secret = ? AND version = ?", s.ID, version); err != nil {
				return noVersion(err, version)
			}
		}
		switch {
		case from == "" && to == "":
			return fault.Invalid.Errorf("You must specify RemoveFromVersionId, MoveToVersionId, or both.")
		case to == "" && label == Current:
			return fault.Invalid.Errorf("You can only move staging label %s to a different secret version. It can't be completely removed.", Current)
		case to != at && at != "" && from == "":
			return fault.Invalid.Errorf("The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", label, at)
		case from != "" && from != at:
			return fault.Invalid.Errorf("The staging label %s is not attached to version %s.", label, from)
		case to == "":
			delete(s.Labels, label)
		default:
			s.move(label, to)
		}
		if to != "" && len(s.LabelsOf(to)) > maxLabels {
			return fault.Limit.Errorf("a version has at most %d labels", maxLabels)
		}
		s.Changed = v.config.Now().UTC()
		return nil
	})
}

func noVersion(err error, version string) error {
	if fault.Of(err) == fault.NotFound {
		return fault.NotFound.Errorf("Secrets Manager can't find the specified secret value for VersionId: %s", version)
	}
	return err
}

// Told is a value, and which one it is.
type Told struct {
	Secret  Secret
	Version Version
	Value   Value
}

// Value tells the value of a version, of a label, or the current one where neither is given.
func (v *Vault) Value(ctx context.Context, id, version, label string) (t Told, err error) {
	var text string
	err = v.config.DB.Read(ctx, func(tx *db.Tx) error {
		if t.Secret, err = v.usable(tx, id); err != nil {
			return err
		}
		if version, err = t.Secret.which(version, label); err != nil {
			return err
		}
		t.Version, err = db.One(tx, func(scan db.Scan) (one Version, err error) {
			one.ID = version
			return one, scanTimes(scan, &one, &text)
		}, "SELECT created, accessed, value FROM vault_versions WHERE secret = ? AND version = ?", t.Secret.ID, version)
		return noVersion(err, version)
	})
	if err != nil {
		return t, err
	}
	t.Version.Labels = t.Secret.LabelsOf(version)
	if t.Value, err = v.open(t.Secret.ID, version, text); err != nil {
		return t, err
	}
	return t, v.touch(ctx, t)
}

func scanTimes(scan db.Scan, one *Version, value *string) error {
	var created, accessed int64
	if err := scan(&created, &accessed, value); err != nil {
		return err
	}
	one.Created = time.UnixMicro(created).UTC()
	if accessed > 0 {
		one.Accessed = time.UnixMicro(accessed).UTC()
	}
	return nil
}

// which is the version that is meant.
func (s *Secret) which(version, label string) (string, error) {
	switch {
	case version != "" && label != "" && s.Labels[label] != version:
		return "", fault.Conflict.Errorf("You provided a VersionStage that is not associated to the provided VersionId.")
	case version != "":
		return version, nil
	case label == "":
		label = Current
	}
	if s.Labels[label] == "" {
		return "", fault.NotFound.Errorf("Secrets Manager can't find the specified secret value for staging label: %s", label)
	}
	return s.Labels[label], nil
}

// touch writes down the day on which a value was told, once a day.
func (v *Vault) touch(ctx context.Context, t Told) error {
	today := v.config.Now().UTC().Truncate(24 * time.Hour)
	if !t.Secret.Accessed.Before(today) && !t.Version.Accessed.Before(today) {
		return nil
	}
	return v.config.DB.Write(ctx, func(tx *db.Tx) error {
		s, err := v.find(tx, v.ARN(t.Secret))
		if err != nil {
			return err
		}
		s.Accessed = today
		if err := s.keep(tx); err != nil {
			return err
		}
		_, err = tx.Exec("UPDATE vault_versions SET accessed = ? WHERE secret = ? AND version = ?", today.UnixMicro(), s.ID, t.Version.ID)
		return err
	})
}

// Versions are those of a secret that have a label, or all, the newest first.
func (v *Vault) Versions(ctx context.Context, id string, all bool) (s Secret, versions []Version, err error) {
	err = v.config.DB.Read(ctx, func(tx *db.Tx) error {
		if s, err = v.find(tx, id); err != nil {
			return err
		}
		versions, err = db.All(tx, func(scan db.Scan) (one Version, err error) {
			var created, accessed int64
			if err := scan(&one.ID, &created, &accessed); err != nil {
				return one, err
			}
			one.Created, one.Labels = time.UnixMicro(created).UTC(), s.LabelsOf(one.ID)
			if accessed > 0 {
				one.Accessed = time.UnixMicro(accessed).UTC()
			}
			return one, nil
		}, "SELECT version, created, accessed FROM vault_versions WHERE secret = ? ORDER BY created DESC, version", s.ID)
		return err
	})
	if !all {
		versions = slices.DeleteFunc(versions, func(one Version) bool { return len(one.Labels) == 0 })
	}
	return s, versions, err
}

// each opens every value that is kept, some at a time.
func (v *Vault) each(ctx context.Context, take func(secret, version, text string) error) error {
	type kept struct{ secret, version, text string }
	last := kept{}
	for {
		var some []kept
		err := v.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
			some, err = db.All(tx, func(scan db.Scan) (k kept, err error) {
				return k, scan(&k.secret, &k.version, &k.text)
			}, "SELECT secret, version, value FROM vault_versions WHERE secret > ? OR secret = ? AND version > ? ORDER BY secret, version LIMIT 200", last.secret, last.secret, last.version)
			return err
		})
		if err != nil || len(some) == 0 {
			return err
		}
		for _, k := range some {
			if err := take(k.secret, k.version, k.text); err != nil {
				return err
			}
		}
		last = some[len(some)-1]
	}
}

// reseal seals under the newest root key what is under an older one.
func (v *Vault) reseal(ctx context.Context) error {
	return v.each(ctx, func(secret, version, text string) error {
		if !v.config.Sealer.Stale(text) {
			return nil
		}
		value, err := v.open(secret, version, text)
		if err != nil {
			return err
		}
		anew, err := v.sealed(secret, version, value)
		if err != nil {
			return err
		}
		return v.config.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec("UPDATE vault_versions SET value = ? WHERE secret = ? AND version = ? AND value = ?", anew, secret, version, text)
			return err
		})
	})
}

// A Holder is a version whose value somebody looked for.
type Holder struct {
	Secret  Secret
	Version string
	Labels  []string // none: the value does not count any more
}

// Holders are the versions whose value, or one of its members where it is JSON, is what is looked for.
func (v *Vault) Holders(ctx context.Context, is func(value string) bool) (found []Holder, err error) {
	err = v.each(ctx, func(secret, version, text string) error {
		value, err := v.open(secret, version, text)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(members(value), is) {
			return nil
		}
		s, err := v.Secret(ctx, v.arn(secret))
		if fault.Of(err) == fault.NotFound {
			return nil // it was removed meanwhile
		}
		found = append(found, Holder{Secret: s, Version: version, Labels: s.LabelsOf(version)})
		return err
	})
	return found, err
}
