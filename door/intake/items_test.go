package intake_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/intake"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// shelf takes items in and remembers the texts; what is not JSON it refuses.
type shelf struct{ got []string }

func (s *shelf) ImportFile(_ context.Context, name string, text []byte) (inventory.Imported, error) {
	if !strings.HasPrefix(string(text), "{") {
		return inventory.Imported{}, fault.Invalid.Errorf("%s:1:1: not JSON", name)
	}
	s.got = append(s.got, string(text))
	return inventory.Imported{New: 1}, nil
}

// guard knows one token, and one action that it lets pass.
type guard struct{ action string }

func (g guard) Token(_ context.Context, p access.Purpose, _ string, value seal.Secret) (iam.Principal, error) {
	if p != access.Intake || value.Reveal() != "right" {
		return iam.Principal{}, fault.Unauthenticated.Errorf("wrong")
	}
	return iam.Principal{Name: "sender"}, nil
}

func (g guard) Allow(_ context.Context, asked ...iam.Request) error {
	for _, r := range asked {
		if r.Action != g.action {
			return fault.Denied.Errorf("not %s", r.Action)
		}
	}
	return nil
}

// Items go to the inventory, by senders who may, and a mistake is told with its place.
func TestItems(t *testing.T) {
	for _, c := range []struct {
		token, action, body string
		status              int
		answer              string
	}{
		{"right", intake.ItemsAction, `{"configurationItems": []}`, 200, `"items":{"new":1,`},
		{"right", intake.ItemsAction, `nonsense`, 400, `the request:1:1: not JSON`},
		{"right", intake.Action, `{}`, 403, `not haechi:PutItems`},
		{"wrong", intake.ItemsAction, `{}`, 401, `a valid token is required`},
		{"", intake.ItemsAction, `{}`, 401, `a valid token is required`},
	} {
		s := &shelf{}
		r := httptest.NewRequest(http.MethodPost, "/intake/items", strings.NewReader(c.body))
		r.Header.Set("Authorization", "Bearer "+c.token)
		w := httptest.NewRecorder()
		intake.Handler(intake.Config{Access: guard{c.action}, Items: s}).ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) || (len(s.got) == 1) != (c.status == 200) {
			t.Errorf("%+v: got %d %s, kept %v", c, w.Code, w.Body, s.got)
		}
	}
}
