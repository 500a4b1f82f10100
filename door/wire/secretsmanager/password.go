package secretsmanager

import (
	"context"
	"crypto/rand"
	"math/big"
	"strings"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/word/fault"
)

type passwordInput struct {
	PasswordLength          int
	ExcludeCharacters       string
	ExcludeNumbers          bool
	ExcludePunctuation      bool
	ExcludeUppercase        bool
	ExcludeLowercase        bool
	IncludeSpace            bool
	RequireEachIncludedType *bool
}

type passwordOutput struct{ RandomPassword string }

// kinds are the characters that a password may be of, kind by kind.
func (in *passwordInput) kinds() (kinds []string) {
	for _, k := range []struct {
		out  bool
		text string
	}{
		{in.ExcludeLowercase, "abcdefghijklmnopqrstuvwxyz"}, {in.ExcludeUppercase, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}, {in.ExcludeNumbers, "0123456789"},
		{in.ExcludePunctuation, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"}, {!in.IncludeSpace, " "},
	} {
		left := strings.Map(func(r rune) rune {
			if strings.ContainsRune(in.ExcludeCharacters, r) {
				return -1
			}
			return r
		}, k.text)
		if !k.out && left != "" {
			kinds = append(kinds, left)
		}
	}
	return kinds
}

func (s *service) password(_ context.Context, _ *wire.Call, in *passwordInput) (*passwordOutput, error) {
	n, kinds := in.PasswordLength, in.kinds()
	if n == 0 {
		n = 32
	}
	all := strings.Join(kinds, "")
	each := in.RequireEachIncludedType == nil || *in.RequireEachIncludedType
	switch {
	case all == "":
		return nil, fault.Invalid.Errorf("no character is left to make a password of")
	case each && n < len(kinds):
		return nil, fault.Invalid.Errorf("a password of %d characters cannot have one of each of %d kinds", n, len(kinds))
	}
	for {
		password := make([]byte, n)
		for i := range password {
			k, err := rand.Int(rand.Reader, big.NewInt(int64(len(all))))
			if err != nil {
				return nil, err
			}
			password[i] = all[k.Int64()]
		}
		if !each || hasEach(string(password), kinds) {
			return &passwordOutput{string(password)}, nil
		}
	}
}

// hasEach tells whether there is a character of each kind. Drawing again until there is keeps all such passwords alike likely.
func hasEach(password string, kinds []string) bool {
	for _, k := range kinds {
		if !strings.ContainsAny(password, k) {
			return false
		}
	}
	return true
}
