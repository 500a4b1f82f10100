package vault

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/word/fault"
)

// Types of parameters.
const (
	Text   = "String"
	List   = "StringList"
	Secure = "SecureString" // told sealed unless somebody asks for it in clear
)

const (
	maxParameters = 10_000
	maxParameter  = 8 << 10 // bytes of a value
	standardTier  = 4 << 10 // up to which it is in the standard tier
)

// Parameter is a version of a parameter: configuration, by a name that is a path.
type Parameter struct {
	Name        string `json:"-"` // /shop/prod/url
	Version     int64  `json:"-"` // from 1
	Type        string
	Description string `json:",omitzero"`
	Key         string `json:",omitzero"` // the KMS key, for who named it
	Pattern     string `json:",omitzero"` // that values keep to
	Tier        string
	Modified    time.Time
	Who         string // ARN of whoever put it

	sealed string
}

var parameterForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(/?[A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+)+)$`) })

func (p *Parameter) check(value seal.Secret) error {
	first := strings.ToLower(strings.TrimPrefix(p.Name, "/"))
	switch {
	case len(p.Name) > 1011 || !parameterForm().MatchString(p.Name):
		return fault.Invalid.Errorf("Parameter name must be a fully qualified name: letters, digits and _.- between slashes, the first of which begins it; not %.100q", p.Name)
	case strings.HasPrefix(first, "aws") || strings.HasPrefix(first, "ssm"):
		return fault.Invalid.Errorf("No access to reserved parameter name: %s.", p.Name)
	case strings.Count(strings.TrimPrefix(p.Name, "/"), "/") >= 15:
		return fault.Invalid.Errorf("Parameter name can have a maximum of 15 levels.")
	case p.Type != Text && p.Type != List && p.Type != Secure:
		return fault.Invalid.Errorf("A parameter type is required when you create a parameter.")
	case len(value) == 0 || len(value) > maxParameter:
		return fault.Invalid.Errorf("a value has 1 to %d bytes, not %d", maxParameter, len(value))
	case len(p.Description) > 1024 || len(p.Pattern) > 1024:
		return fault.Invalid.Errorf("a description and a pattern have at most 1,024 bytes")
	}
	if len(value) > standardTier {
		p.Tier = "Advanced"
	} else if p.Tier != "Advanced" {
		p.Tier = "Standard"
	}
	if p.Pattern == "" {
		return nil
	}
	pattern, err := regexp.Compile(`^(?:` + p.Pattern + `)$`)
	if err != nil {
		return fault.Invalid.Errorf("the pattern is none: %w", err)
	}
	if !pattern.MatchString(value.Reveal()) {
		return fault.Invalid.Errorf("Parameter value, cannot be validated against allowedPattern: %s", p.Pattern)
	}
	return nil
}

// ParameterARN is the ARN of a parameter by its name.
func (v *Vault) ParameterARN(name string) string {
	return "arn:aws:ssm:" + v.config.Region + ":" + v.config.Account + ":parameter/" + strings.TrimPrefix(name, "/")
}

func parameterRow(name string, version int64) seal.Row {
	return seal.Row{Table: "vault_parameter_versions", ID: name + " " + strconv.FormatInt(version, 10), Column: "value"}
}

func scanParameter(scan db.Scan) (p Parameter, err error) {
	var body []byte
	if err := scan(&p.Name, &p.Version, &p.sealed, &body); err != nil {
		return p, err
	}
	return p, json.Unmarshal(body, &p)
}

const parameterColumns = "v.name, v.version, v.value, v.body"

func unknownParameter(err error, name string) error {
	if fault.Of(err) == fault.NotFound {
		return fault.NotFound.Errorf("there is no parameter %.200q", name)
	}
	return err
}

// PutParameter keeps a parameter, or with overwrite another version of it: with what is not said left as it was.
func (v *Vault) PutParameter(ctx context.Context, p Parameter, value seal.Secret, tags map[string]string, overwrite bool) (Parameter, error) {
	err := v.config.DB.Write(ctx, func(tx *db.Tx) error {
		was, err := db.One(tx, scanParameter, "SELECT "+parameterColumns+" FROM vault_parameter_versions v JOIN vault_parameters p ON p.name = v.name AND p.version = v.version WHERE v.name = ?", p.Name)
		there := err == nil
		switch {
		case err != nil && fault.Of(err) != fault.NotFound:
			return err
		case there && !overwrite:
			return fault.Exists.Errorf("The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
		case there && p.Type != "" && p.Type != was.Type:
			return fault.Invalid.Errorf("%s is a %s, and stays one: delete it first", p.Name, was.Type)
		}
		next := p
		if there {
			next.Type, next.Version = was.Type, was.Version
			if next.Description == "" {
				next.Description = was.Description
			}
			if next.Pattern == "" {
				next.Pattern = was.Pattern
			}
			if next.Key == "" {
				next.Key = was.Key
			}
		}
		if err := next.check(value); err != nil {
			return err
		}
		next.Version++
		next.Modified = v.config.Now().UTC()
		p = next
		return v.keepParameter(tx, next, value, tags, there)
	})
	return p, err
}

func (v *Vault) keepParameter(tx *db.Tx, p Parameter, value seal.Secret, tags map[string]string, there bool) error {
	if !there {
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM vault_parameters")
		if err != nil {
			return err
		}
		if n >= maxParameters {
			return fault.Limit.Errorf("%d parameters are kept, and no more", maxParameters)
		}
		if err := checkTags(tags); err != nil {
			return err
		}
		text, err := json.Marshal(tags, json.Deterministic(true))
		if err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO vault_parameters (name, version, tags) VALUES (?, ?, ?)", p.Name, p.Version, text); err != nil {
			return err
		}
	} else if _, err := tx.Exec("UPDATE vault_parameters SET version = ? WHERE name = ?", p.Version, p.Name); err != nil {
		return err
	}
	sealed, err := v.config.Sealer.Seal(parameterRow(p.Name, p.Version), value)
	if err != nil {
		return err
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO vault_parameter_versions (name, version, value, body) VALUES (?, ?, ?, ?)", p.Name, p.Version, sealed, body); err != nil {
		return err
	}
	_, err = tx.Exec("DELETE FROM vault_parameter_versions WHERE name = ? AND version <= ?", p.Name, p.Version-maxVersions)
	return err
}

// ParseParameter reads NAME, NAME:VERSION or an ARN of either; version 0 is the newest.
func (v *Vault) ParseParameter(text string) (name string, version int64, err error) {
	name = text
	if strings.HasPrefix(text, "arn:") {
		tail, ok := strings.CutPrefix(text, v.ParameterARN(""))
		if !ok {
			return "", 0, fault.NotFound.Errorf("there is no parameter %.200q", text)
		}
		if name = tail; strings.Contains(strings.SplitN(tail, ":", 2)[0], "/") {
			name = "/" + tail
		}
	}
	name, selector, ok := strings.Cut(name, ":")
	if !ok {
		return name, 0, nil
	}
	if version, err = strconv.ParseInt(selector, 10, 64); err != nil || version < 1 {
		return "", 0, fault.NotFound.Errorf("there is no parameter %.200q: versions have numbers here, and no labels", text)
	}
	return name, version, nil
}

// Parameter is one as it stands, or in an earlier version, and its value.
func (v *Vault) Parameter(ctx context.Context, text string) (p Parameter, value seal.Secret, err error) {
	name, version, err := v.ParseParameter(text)
	if err != nil {
		return p, "", err
	}
	err = v.config.DB.Read(ctx, func(tx *db.Tx) error {
		query, args := "SELECT "+parameterColumns+" FROM vault_parameter_versions v JOIN vault_parameters p ON p.name = v.name AND p.version = v.version WHERE v.name = ?", []any{name}
		if version > 0 {
			query, args = "SELECT "+parameterColumns+" FROM vault_parameter_versions v WHERE v.name = ? AND v.version = ?", []any{name, version}
		}
		p, err = db.One(tx, scanParameter, query, args...)
		if fault.Of(err) == fault.NotFound && strings.HasPrefix(text, "arn:") && version == 0 && !strings.HasPrefix(name, "/") {
			p, err = db.One(tx, scanParameter, query, "/"+name) // an ARN does not say whether the name of one level begins with a slash
		}
		return unknownParameter(err, text)
	})
	if err != nil {
		return p, "", err
	}
	value, err = v.Reveal(p)
	return p, value, err
}

// Reveal is the value of a parameter.
func (v *Vault) Reveal(p Parameter) (seal.Secret, error) {
	return v.config.Sealer.Open(parameterRow(p.Name, p.Version), p.sealed)
}

// Sealed is the value of a parameter as it is kept, which tells nobody anything.
func (p Parameter) Sealed() string { return p.sealed }

// Parameters are all as they stand whose names begin so, by name.
func (v *Vault) Parameters(ctx context.Context, prefix string) (all []Parameter, err error) {
	err = v.config.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanParameter, "SELECT "+parameterColumns+" FROM vault_parameter_versions v JOIN vault_parameters p ON p.name = v.name AND p.version = v.version WHERE v.name >= ? ORDER BY v.name", prefix)
		return err
	})
	return slices.DeleteFunc(all, func(p Parameter) bool { return !strings.HasPrefix(p.Name, prefix) }), err
}

// ParameterVersions are all of one, the oldest first.
func (v *Vault) ParameterVersions(ctx context.Context, name string) (all []Parameter, err error) {
	err = v.config.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanParameter, "SELECT "+parameterColumns+" FROM vault_parameter_versions v WHERE v.name = ? ORDER BY v.version", name)
		return err
	})
	if err == nil && len(all) == 0 {
		err = unknownParameter(fault.NotFound, name)
	}
	return all, err
}

// DeleteParameter takes one away, with all its versions.
func (v *Vault) DeleteParameter(ctx context.Context, name string) error {
	return v.config.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM vault_parameters WHERE name = ?", name)
		if err == nil && n == 0 {
			err = fault.NotFound
		}
		if err != nil {
			return unknownParameter(err, name)
		}
		_, err = tx.Exec("DELETE FROM vault_parameter_versions WHERE name = ?", name)
		return err
	})
}

// ParameterTags are the tags of a parameter.
func (v *Vault) ParameterTags(ctx context.Context, name string) (tags map[string]string, err error) {
	err = v.config.DB.Read(ctx, func(tx *db.Tx) error {
		tags, err = parameterTags(tx, name)
		return err
	})
	return tags, err
}

func parameterTags(tx *db.Tx, name string) (map[string]string, error) {
	text, err := db.One(tx, db.Value[[]byte], "SELECT tags FROM vault_parameters WHERE name = ?", name)
	if err != nil {
		return nil, unknownParameter(err, name)
	}
	tags := map[string]string{}
	return tags, json.Unmarshal(text, &tags)
}

// TagParameter sets tags and takes others away.
func (v *Vault) TagParameter(ctx context.Context, name string, set map[string]string, drop []string) error {
	return v.config.DB.Write(ctx, func(tx *db.Tx) error {
		tags, err := parameterTags(tx, name)
		if err != nil {
			return err
		}
		if tags == nil {
			tags = map[string]string{}
		}
		for k, value := range set {
			tags[k] = value
		}
		for _, k := range drop {
			delete(tags, k)
		}
		if err := checkTags(tags); err != nil {
			return err
		}
		text, err := json.Marshal(tags, json.Deterministic(true))
		if err != nil {
			return err
		}
		_, err = tx.Exec("UPDATE vault_parameters SET tags = ? WHERE name = ?", text, name)
		return err
	})
}

// resealParameters seals under the newest root key what is under an older one.
func (v *Vault) resealParameters(ctx context.Context) error {
	var all []Parameter
	err := v.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = db.All(tx, scanParameter, "SELECT "+parameterColumns+" FROM vault_parameter_versions v")
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range all {
		if !v.config.Sealer.Stale(p.sealed) {
			continue
		}
		value, err := v.Reveal(p)
		if err != nil {
			return err
		}
		anew, err := v.config.Sealer.Seal(parameterRow(p.Name, p.Version), value)
		if err != nil {
			return err
		}
		if err := v.config.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec("UPDATE vault_parameter_versions SET value = ? WHERE name = ? AND version = ? AND value = ?", anew, p.Name, p.Version, p.sealed)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
