package secret

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// AllowFile is the file of a repository that says which secrets are let be.
const AllowFile = ".haechi-secrets"

// AllowAttributes is what .gitattributes says of AllowFile, so that lines that
// two branches add are both kept: their order says nothing.
const AllowAttributes = AllowFile + " merge=union\n"

// Allowed is one secret that is let be: by whom, why and until when.
type Allowed struct {
	Fingerprint string
	Rule        string
	Owner       string
	Reason      string
	Until       time.Time // zero: without end
}

// Allow is what is let be in a repository. The zero value is nothing.
type Allow struct {
	Salt    []byte // of the hashes in Secrets
	Secrets []Allowed

	lines  map[string]string // of .gitleaksignore: file:line, and the reason
	hashes map[string]string // of detect-secrets: SHA-1 of the secret
}

// ParseAllow reads an AllowFile.
func ParseAllow(file string, text []byte) (*Allow, error) {
	a := &Allow{}
	wrong := func(n int, format string, args ...any) error {
		return fault.Invalid.Wrap(diag.Errorf(diag.Place{File: file, Line: n, Column: 1}, format, args...))
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case kind == "", strings.HasPrefix(kind, "#"):
		case kind == "salt":
			salt, err := hex.DecodeString(rest)
			if err != nil || len(salt) == 0 {
				return nil, wrong(n, "the salt is written in hexadecimal digits")
			}
			if a.Salt != nil && string(a.Salt) != string(salt) {
				return nil, wrong(n, "a second salt: the file was put together from those of two repositories")
			}
			a.Salt = salt
		case kind == "allow":
			one, err := parseAllowed(rest)
			if err != nil {
				return nil, wrong(n, "%v", err)
			}
			a.Secrets = append(a.Secrets, one)
		default:
			return nil, wrong(n, "a line begins with salt or allow, not %q", finding.Shorten(kind, 40))
		}
	}
	return a, nil
}

// parseAllowed reads `FINGERPRINT rule=R until=2027-01-31 owner=O reason=why`.
func parseAllowed(text string) (a Allowed, err error) {
	a.Fingerprint, text, _ = strings.Cut(text, " ")
	if len(a.Fingerprint) != 32 || !isHex(a.Fingerprint) {
		return a, fmt.Errorf("the fingerprint of a finding comes first, 32 hexadecimal digits")
	}
	for text != "" {
		var word string
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			return a, fmt.Errorf("%q is not name=value", finding.Shorten(text, 40))
		}
		if name == "reason" {
			a.Reason, text = strings.TrimSpace(rest), ""
			continue
		}
		word, text, _ = strings.Cut(rest, " ")
		switch name {
		case "rule":
			a.Rule = word
		case "owner":
			a.Owner = word
		case "until":
			if a.Until, err = time.Parse(time.DateOnly, word); err != nil {
				return a, fmt.Errorf("until is a day such as 2027-01-31, not %q", finding.Shorten(word, 40))
			}
		default:
			return a, fmt.Errorf("there is rule, owner, until and reason, and no %q", finding.Shorten(name, 40))
		}
	}
	if a.Reason == "" {
		return a, fmt.Errorf("a reason is missing: reason=why, at the end of the line")
	}
	return a, nil
}

// Text is the file: one line a secret, sorted, without the place where it
// stands, so that moved lines change nothing and branches merge.
func (a *Allow) Text() []byte {
	var lines []string
	for _, s := range a.Secrets {
		line := "allow " + s.Fingerprint
		if s.Rule != "" {
			line += " rule=" + field(s.Rule)
		}
		if !s.Until.IsZero() {
			line += " until=" + s.Until.UTC().Format(time.DateOnly)
		}
		if s.Owner != "" {
			line += " owner=" + field(s.Owner)
		}
		lines = append(lines, line+" reason="+strings.Join(strings.Fields(s.Reason), " "))
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	head := "# Secrets that are let be in this repository, and why. Written by 'haechi secrets\n# export', read by 'haechi scan' and the hook; the server goes by the hub alone.\n"
	if len(a.Salt) > 0 {
		head += "salt " + hex.EncodeToString(a.Salt) + "\n"
	}
	for _, line := range lines {
		head += line + "\n"
	}
	return []byte(head)
}

func field(s string) string { return strings.Join(strings.Fields(s), "_") }

// AddGitleaksIgnore adds the lines of a .gitleaksignore: [commit:]file:rule:line.
func (a *Allow) AddGitleaksIgnore(text []byte) {
	if a.lines == nil {
		a.lines = map[string]string{}
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		parts := strings.Split(line, ":")
		if len(parts) < 3 {
			continue
		}
		number := parts[len(parts)-1]
		if _, err := strconv.Atoi(number); err != nil {
			continue
		}
		file := strings.Join(parts[:len(parts)-2], ":")
		if commit, rest, ok := strings.Cut(file, ":"); ok && len(commit) == 40 && isHex(commit) {
			file = rest
		}
		a.lines[strings.ReplaceAll(file, "\\", "/")+":"+number] = "listed in .gitleaksignore"
	}
}

// AddBaseline adds what a baseline of detect-secrets lists, but what somebody
// has marked there as a secret.
func (a *Allow) AddBaseline(file string, text []byte) error {
	var doc struct {
		Results map[string][]struct {
			Hash     string `json:"hashed_secret"`
			IsSecret *bool  `json:"is_secret"`
		} `json:"results"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return fault.Invalid.Wrap(diag.Errorf(diag.Place{File: file}, "no baseline of detect-secrets: %v", err))
	}
	if a.hashes == nil {
		a.hashes = map[string]string{}
	}
	for _, list := range doc.Results {
		for _, r := range list {
			if len(r.Hash) == 40 && (r.IsSecret == nil || !*r.IsSecret) {
				a.hashes[strings.ToLower(r.Hash)] = "listed in a baseline of detect-secrets"
			}
		}
	}
	return nil
}

// reason is why a secret at a place is let be, if it is.
func (a *Allow) reason(path string, line int, secret, fingerprint string, now time.Time) (string, bool) {
	if a == nil {
		return "", false
	}
	if why, ok := a.lines[path+":"+strconv.Itoa(line)]; ok {
		return why, true
	}
	if len(a.hashes) > 0 {
		sum := sha1.Sum([]byte(secret))
		if why, ok := a.hashes[hex.EncodeToString(sum[:])]; ok {
			return why, true
		}
	}
	for _, s := range a.Secrets {
		if s.Fingerprint == fingerprint && (s.Until.IsZero() || now.Before(s.Until.AddDate(0, 0, 1))) {
			why := s.Reason
			if s.Owner != "" {
				why += " (" + s.Owner + ")"
			}
			return why, true
		}
	}
	return "", false
}
