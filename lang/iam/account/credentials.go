package account

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// The limits of a credential report: an account has at most 5,000 users.
const (
	maxReport = 16 << 20
	maxUsers  = 20_000
)

// needed are the columns of a credential report that this looks at.
var needed = []string{"user", "arn", "password_enabled", "password_last_used", "mfa_active",
	"access_key_1_active", "access_key_1_last_rotated", "access_key_1_last_used_date",
	"access_key_2_active", "access_key_2_last_rotated", "access_key_2_last_used_date"}

// Credentials reads a credential report, the CSV of IAM, and finds what is
// wrong with passwords, keys and second factors as of now. name says where it comes from.
func Credentials(name string, text []byte, now time.Time) ([]finding.Finding, error) {
	wrong := func(line, column int, hint, format string, a ...any) error {
		e := diag.Errorf(diag.Place{File: name, Line: line, Column: column}, format, a...).In(text)
		e.Hint = hint
		return fault.Invalid.Wrap(e)
	}
	const command = "aws iam get-credential-report --query Content --output text | base64 -d writes one"
	if len(text) > maxReport {
		return nil, wrong(0, 0, "", "a credential report of %d MB, %d are allowed", len(text)>>20, maxReport>>20)
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	head, err := r.Read()
	if err != nil {
		return nil, wrong(1, 0, command, "no credential report: %v", err)
	}
	at := map[string]int{}
	for i, column := range head {
		at[strings.TrimPrefix(column, "\ufeff")] = i
	}
	for _, column := range needed {
		if _, ok := at[column]; !ok {
			return nil, wrong(1, 1, command, "no credential report: it has no column %q", column)
		}
	}
	var all []finding.Finding
	for users := 0; ; users++ {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			return nil, wrong(bad.Line, bad.Column, "", "%v", bad.Err)
		}
		line, column := r.FieldPos(0)
		switch {
		case len(row) != len(head):
			return nil, wrong(line, column, "", "%d columns, the first line has %d", len(row), len(head))
		case users >= maxUsers:
			return nil, wrong(line, column, "", "more than %d users", maxUsers)
		}
		u := reported{row: row, at: at, now: now}
		if !strings.HasPrefix(u.of("arn"), "arn:") {
			return nil, wrong(line, column, "", "%q is no ARN of a user", u.of("arn"))
		}
		if err := u.readable(); err != nil {
			return nil, wrong(line, column, "", "%v", err)
		}
		if u.of("user") == "<root_account>" {
			all = append(all, u.root()...)
		} else {
			all = append(all, u.user()...)
		}
	}
}

// reported is one line of a credential report.
type reported struct {
	row []string
	at  map[string]int
	now time.Time
}

func (u reported) of(column string) string { return u.row[u.at[column]] }
func (u reported) is(column string) bool   { return strings.EqualFold(u.of(column), "true") }

// readable tells whether every value that is looked at has one of its forms:
// something that cannot be read must not look like something that is fine.
func (u reported) readable() error {
	for _, column := range needed[2:] {
		text := u.of(column)
		switch {
		case strings.HasSuffix(column, "_enabled"), strings.HasSuffix(column, "_active"):
			if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") && text != "not_supported" {
				return fmt.Errorf("%s is %q, not true or false", column, text)
			}
		case text != "N/A" && text != "no_information" && text != "not_supported":
			if _, err := time.Parse(time.RFC3339, text); err != nil {
				return fmt.Errorf("%s is %q, no time", column, text)
			}
		}
	}
	return nil
}

// days is how long ago a time was; false where there is none.
func (u reported) days(column string) (int, bool) {
	at, err := time.Parse(time.RFC3339, u.of(column))
	return int(u.now.Sub(at).Hours() / 24), err == nil
}

func (u reported) root() (all []finding.Finding) {
	arn := u.of("arn")
	add := func(severity finding.Label, rule, title, description, fix string) {
		all = append(all, note(severity, rule, "AwsAccount", arn, title, description, fix))
	}
	if !u.is("mfa_active") {
		add(finding.Critical, "root-mfa", "Root signs in without a second factor", "Whoever has the root user's password has the account.", "Register a hardware security key for the root user.")
	}
	for _, key := range []string{"access_key_1", "access_key_2"} {
		if u.is(key + "_active") {
			add(finding.Critical, "root-key", "Root has an access key ("+key+")", "The key can do everything, and no policy limits it.", "Delete the root user's access keys.")
		}
		if days, ok := u.days(key + "_last_used_date"); ok && days < rootDays {
			add(finding.High, "root-use", "Root's access key was used lately ("+key+")", fmt.Sprintf("It was used %d days ago.", days), "Work with roles; keep root for what only root can do.")
		}
	}
	if days, ok := u.days("password_last_used"); ok && days < rootDays {
		add(finding.High, "root-use", "Root signed in lately", fmt.Sprintf("The root user signed in %d days ago.", days), "Work with roles; keep root for what only root can do.")
	}
	return all
}

func (u reported) user() (all []finding.Finding) {
	name, arn := u.of("user"), u.of("arn")
	add := func(severity finding.Label, rule, title, description, fix string) {
		all = append(all, note(severity, rule, "AwsIamUser", arn, name+" "+title, description, fix))
	}
	if u.is("password_enabled") {
		if !u.is("mfa_active") {
			add(finding.High, "user-mfa", "signs in without a second factor", "A password alone opens the console.", "Have the user register an MFA device, and deny what is done without (BoolIfExists aws:MultiFactorAuthPresent).")
		}
		if days, ok := u.days("password_last_used"); ok && days > unusedKeyDays {
			add(finding.Low, "unused-password", "has a password that is not used", fmt.Sprintf("It was last used %d days ago.", days), "Delete the login profile.")
		}
	}
	active := 0
	for _, key := range []string{"access_key_1", "access_key_2"} {
		if !u.is(key + "_active") {
			continue
		}
		active++
		if days, ok := u.days(key + "_last_rotated"); ok && days > oldKeyDays {
			add(finding.Medium, "old-key", "has an old access key ("+key+")", fmt.Sprintf("It was made %d days ago.", days), "Make a new key, use it, and delete the old one; better, use a role.")
		}
		days, used := u.days(key + "_last_used_date")
		made, known := u.days(key + "_last_rotated")
		if used && days > unusedKeyDays || !used && known && made > unusedKeyDays {
			add(finding.Medium, "unused-key", "has an access key that is not used ("+key+")", "It was not used for more than "+fmt.Sprint(unusedKeyDays)+" days.", "Delete the key.")
		}
	}
	if active > 1 {
		add(finding.Low, "two-keys", "has two active access keys", "The second is for the time of a rotation only.", "Delete the one that is not used.")
	}
	return all
}
