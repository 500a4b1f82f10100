package mask_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/mask"
)

// Every form is written with S for the secret, so that no scanner takes this file for a leak.
var secret = strings.Repeat("a1B2", 9)

// Credentials go, what stands around them stays.
func TestText(t *testing.T) {
	for _, form := range []string{
		`password=S`, `password: S`, `password = "S"`, `PASSWORD='S' next`, `db.password=S&user=x`, `DB_PASSWORD=S`, `--password=S --x`,
		`{"password":"S","user":"x"}`, `{"Password" : "S"}`, `{"secretAccessKey":"S","accessKeyId":"AKIAEXAMPLE"}`, `aws_secret_access_key = S`,
		`{"a":"{\"password\":\"S\",\"b\":1}"}`, `{"a":"{\\\"token\\\":\\\"S\\\"}"}`, `{"sessionToken":"S"}`,
		`Authorization: Bearer S`, `Authorization: Basic S`, `"authorization":"Bearer S"`, `sent Bearer S to x`, `X-Amz-Signature=S&x=1`, `X-Amz-Security-Token=S HTTP/1.1`,
		`AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=S`,
		`https://user:S@host/path`, `postgres://u:S@h:5432/d?x`, `{"url":"redis://:S@h"}`,
		"-----BEGIN RSA PRIVATE " + "KEY-----S-----END RSA PRIVATE KEY-----", `{"k":"-----BEGIN PRIVATE ` + `KEY-----S","x":1}`,
		`using gh` + `p_S.`, `x=xox` + `b-S`, `token is gl` + `pat-S, ok`,
		`client_secret=S;x`, `api-key: S`, `{"apiKey":"S"}`, `<p>pwd=S</p>`,
	} {
		in, want := withSecret(form, secret), withSecret(form, mask.Mask)
		if got := mask.Text(in); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
	}
}

// withSecret puts s where the S stands that is no part of a word.
func withSecret(form, s string) string {
	isLetter := func(i int) bool {
		return i >= 0 && i < len(form) && (form[i] >= 'A' && form[i] <= 'Z' || form[i] >= 'a' && form[i] <= 'z')
	}
	for i := range len(form) {
		if form[i] == 'S' && !isLetter(i-1) && !isLetter(i+1) {
			return form[:i] + s + form[i+1:]
		}
	}
	panic(form)
}

// What only looks like a credential stays, and so does what says where one is.
func TestTextKeeps(t *testing.T) {
	for _, s := range []string{
		"", "plain text", `{"passwordReset":true,"password":null,"token":true}`, `{"accessKey":{"accessKeyId":"AKIAEXAMPLE","status":"Active"}}`,
		`{"secret":"arn:aws:secretsmanager:us-east-1:111122223333:secret:x"}`, `{"secretId":"x"}`, `{"nextToken":"abc"}`, `{"clientRequestToken":"abc"}`,
		`{"password":"HIDDEN_DUE_TO_SECURITY_REASONS"}`, `{"password":"****"}`, `{"tokens":["x"]}`, `https://host:80/a@b`, `https://host/x:y@z`,
		`arn:aws:iam::111122223333:role/x`, `2026-01-01T00:00:00Z`, "-----BEGIN CERTIFICATE-----abc-----END CERTIFICATE-----", "the bearer of news", `{"keyId":"x","key":"y"}`, `ghp_short`,
	} {
		if got := mask.Text(s); got != s {
			t.Errorf("got %s, want %s", got, s)
		}
	}
}

// A JSON web token goes as a whole.
func TestWebToken(t *testing.T) {
	in := "got ey" + "JhbGciOiJub25lIn0.ey" + "JzdWIiOiJ4In0.c2lnbmF0dXJl from x"
	if got := mask.Text(in); got != "got **** from x" {
		t.Error(got)
	}
}

// JSON stays JSON, and a second pass changes nothing.
func FuzzText(f *testing.F) {
	f.Add(`{"password":"x","a":"{\"token\":\"y\\\"z\"}","secret":12,"k":"-----BEGIN RSA PRIVATE ` + `KEY-----\nabc"}`)
	f.Add(`{"apiKey":-1.5e3,"url":"a://b:c@d","x":"Bearer abcdefghi","password":"\\"}`)
	f.Add(`password='a"b' "pwd":x`)
	f.Fuzz(func(t *testing.T, s string) {
		got := mask.Text(s)
		if jsontext.Value(s).IsValid() && !jsontext.Value(got).IsValid() {
			t.Fatalf("%q\nbecame %q", s, got)
		}
		if again := mask.Text(got); jsontext.Value(s).IsValid() && again != got {
			t.Fatalf("%q\nthen %q", got, again)
		}
	})
}

func BenchmarkText(b *testing.B) {
	s := `{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:s","arn":"arn:aws:sts::111122223333:assumed-role/r/s","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/r"},"attributes":{"creationDate":"2026-01-01T00:00:00Z","mfaAuthenticated":"false"}}},"eventTime":"2026-01-01T00:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances","awsRegion":"us-east-1","sourceIPAddress":"198.51.100.7","userAgent":"aws-cli/2.9","requestParameters":{"instancesSet":{"items":[{"instanceId":"i-0123456789abcdef0"}]}},"responseElements":null,"requestID":"3f1e2d3c-0000-4000-8000-000000000000","eventID":"3f1e2d3c-0000-4000-8000-000000000001","readOnly":true}`
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		if mask.Text(s) != s {
			b.Fatal("changed")
		}
	}
}
