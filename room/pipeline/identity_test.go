package pipeline_test

import (
	"context"
	"testing"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/room/pipeline"
)

// A build finds a token that says who it is where AWS's SDKs look for one, and
// its own file may name the role; it can read the token, and not change it.
func TestIdentity(t *testing.T) {
	each(t, func(c *pipeline.Config) {
		c.Identity = &pipeline.Identity{
			Token: func(_ context.Context, e pipeline.Execution) (seal.Secret, error) {
				return seal.Secret("token of " + e.Principal()), nil
			},
			Endpoint: func() string { return "https://haechi.example" },
		}
	}, func(t *testing.T, h *house) {
		e := h.push("main", "one", map[string]string{"buildspec.yml": `version: 0.2
env: {variables: {AWS_ROLE_ARN: "arn:aws:iam::111122223333:role/ci"}}
phases:
  build:
    commands:
      - test "$(cat "$AWS_WEB_IDENTITY_TOKEN_FILE")" = "token of repo:shop:ref:refs/heads/main"
      - test "$AWS_ROLE_SESSION_NAME $AWS_ENDPOINT_URL_STS $AWS_ROLE_ARN" = "shop-1 https://haechi.example arn:aws:iam::111122223333:role/ci"
      - if echo x > "$AWS_WEB_IDENTITY_TOKEN_FILE"; then exit 1; fi
      - test -z "$AWS_ACCESS_KEY_ID$AWS_SECRET_ACCESS_KEY"
`})
		if e.Status != pipeline.Succeeded {
			t.Errorf("it is %s: %+v\n%s", e.Status, e.Reasons, h.log(e.ID))
		}
	})
}
