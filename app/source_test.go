package app

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/tool/scan/secret"
)

// In bytes that are no text only what is a secret by its own form is one.
func TestSecretsOfBinaries(t *testing.T) {
	check := func(content []byte) (rules []string) {
		for _, f := range (secrets{secret.New([]byte("salt"))}).Check(t.Context(), "shop", "a.bin", content) {
			rules = append(rules, f.GeneratorID)
		}
		return rules
	}
	password := []byte("\npassword = " + "'zR7-kWq2xLp9'\n")
	if got := check(password); len(got) != 1 {
		t.Errorf("in text: %q", got)
	}
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 64<<10)
	if _, err := random.Read(noise); err != nil {
		t.Fatal(err)
	}
	if got := check(append(noise, password...)); len(got) != 0 {
		t.Errorf("a password in noise: %q", got)
	}
	key := "\n" + strings.ToUpper("akia"+"q3egrypx7v2mzlwk") + "\n"
	if got := check(append(noise, key...)); len(got) != 1 {
		t.Errorf("a key in noise: %q", got)
	}
}
