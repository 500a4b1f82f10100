package route

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

func webhookKind() Kind {
	return Kind{
		Name: "webhook", Title: "Webhook (signed)",
		Fields: []Field{
			{Name: "url", Required: true, Help: "where to post to, https://…"},
			{Name: "secret", Secret: true, Required: true, Help: "signs every delivery: whsec_ and at least 24 bytes in base64"},
		},
		Open: func(c Receiver, env *Env) (Target, error) {
			if err := checkURL(c.Settings["url"]); err != nil {
				return nil, err
			}
			key, err := signingKey(c.Secrets["secret"].Reveal())
			if err != nil {
				return nil, err
			}
			return &webhook{url: c.Settings["url"], key: key, env: env}, nil
		},
	}
}

// webhook posts each event, signed as Standard Webhooks has it:
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
type webhook struct {
	url string
	key []byte
	env *Env
}

// signingKey reads a secret in the standard's form.
func signingKey(secret string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || !strings.HasPrefix(secret, "whsec_") {
		return nil, fault.Invalid.Errorf("the secret is not whsec_ and base64")
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, fault.Invalid.Errorf("the secret has %d bytes, not 24 to 64", len(key))
	}
	return key, nil
}

// Deliver posts one event. The receiver knows a repeat by its webhook-id.
func (w *webhook) Deliver(ctx context.Context, d Delivery) error {
	body := d.Items[0].Input
	req, err := http.NewRequestWithContext(ctx, "POST", w.url, bytes.NewReader(body))
	if err != nil {
		return fault.Invalid.Wrap(err)
	}
	stamp := strconv.FormatInt(w.env.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", d.ID)
	req.Header.Set("webhook-timestamp", stamp)
	req.Header.Set("webhook-signature", "v1,"+sign(w.key, d.ID, stamp, body))
	_, err = call(w.env.HTTP, req)
	return err
}

func sign(key []byte, id, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
