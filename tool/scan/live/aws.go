package live

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/tool/scan/secret"
)

// AWS asks STS, or another address, who a key belongs to. It needs the key's
// id, which stands beside the secret or nowhere.
type AWS struct {
	Address string
	Now     func() time.Time // nil for the clock
}

// Name is AWS.
func (AWS) Name() string { return "AWS" }

// Knows secret access keys.
func (AWS) Knows(rule string) bool { return rule == "aws-secret-access-key" }

// Ask calls GetCallerIdentity, which every key may.
func (a AWS) Ask(ctx context.Context, client *http.Client, c secret.Credential) (Answer, error) {
	if c.ID == "" {
		return Answer{State: Unknown, Why: "the id of the key stands nowhere near its secret"}, nil
	}
	address, now := "https://sts.amazonaws.com", time.Now
	if a.Address != "" {
		address = a.Address
	}
	if a.Now != nil {
		now = a.Now
	}
	const body = "Action=GetCallerIdentity&Version=2011-06-15"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/", strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sigv4.Signer{AccessKey: c.ID, Secret: c.Secret, Region: "us-east-1", Service: "sts"}.Sign(r, sigv4.Hash([]byte(body)), now())
	status, said, err := answer(client, r, a.Name())
	if err != nil {
		return Answer{}, err
	}
	var reply struct {
		ARN  string `xml:"GetCallerIdentityResult>Arn"`
		Code string `xml:"Error>Code"`
	}
	_ = xml.Unmarshal(said, &reply) // what is no XML says nothing
	switch {
	case status == http.StatusOK:
		return Answer{State: Works, Who: reply.ARN}, nil
	case reply.Code == "InvalidClientTokenId", reply.Code == "SignatureDoesNotMatch", reply.Code == "ExpiredToken":
		return Answer{State: Dead}, nil
	}
	return Answer{State: Unknown, Why: fmt.Sprintf("%d %.100s", status, reply.Code)}, nil
}
