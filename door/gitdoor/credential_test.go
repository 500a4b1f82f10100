package gitdoor

import (
	"strings"
	"testing"
)

// vector is what aws 1.45 printed for https://git.example.com:8443/git/shop in eu-west-1.
const vector = "20261125T133127Z934f10382af259113e4de6e01bedfd6fe2a9453139e0b715c3e791b9d3af2467"

// What the credential helper of the aws command made for a known key is verified, and nothing beside it.
func TestSignature(t *testing.T) {
	const secret = "not-a-secret-but-a-test"
	s, ok := parseSignature("AKIDEXAMPLEEXAMPLE12", vector)
	if !ok {
		t.Fatal("it is no signature")
	}
	s.Host, s.Path = "git.example.com", "/git/shop"
	if !s.Verify(secret, []string{"us-east-1", "eu-west-1"}) {
		t.Error("the signature is not verified")
	}
	for name, change := range map[string]func(*Signature){
		"path":      func(s *Signature) { s.Path = "/git/other" },
		"host":      func(s *Signature) { s.Host = "other.example.com" },
		"time":      func(s *Signature) { s.Stamp = "20200101T000000" },
		"signature": func(s *Signature) { s.Signature = strings.Repeat("0", 64) },
	} {
		other := s
		change(&other)
		if other.Verify(secret, []string{"us-east-1", "eu-west-1"}) {
			t.Errorf("with another %s it is verified too", name)
		}
	}
	if s.Verify("another", []string{"eu-west-1"}) || s.Verify(secret, []string{"us-east-1"}) || s.Verify(secret, nil) {
		t.Error("another secret or region verifies it too")
	}
}

// No user name or password makes the reader panic, and what it takes it has whole.
func FuzzCredential(f *testing.F) {
	f.Add("AKIDEXAMPLEEXAMPLE12", vector)
	f.Add("AKIDEXAMPLEEXAMPLE12%token", vector)
	f.Add("ada", "Z")
	f.Fuzz(func(t *testing.T, user, password string) {
		s, ok := parseSignature(user, password)
		if !ok {
			return
		}
		if s.Stamp+"Z"+s.Signature != password || !strings.HasPrefix(user, s.AccessKey) {
			t.Errorf("%q %q is read as %+v", user, password, s)
		}
		s.Verify("x", []string{"us-east-1"})
	})
}
