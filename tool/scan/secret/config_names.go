package secret

// ownNames are what gitleaks calls rules, and which rule of ours looks for the
// same, where the two are called otherwise: its files name its rules to disable
// or extend them, or to let their finds be.
func ownNames() map[string]string {
	return map[string]string{
		"1password-secret-key": "onepassword-secret-key", "1password-service-account-token": "onepassword-service-account", "adafruit-api-key": "adafruit-key", "airtable-api-key": "airtable-token",
		"airtable-personnal-access-token": "airtable-token", "algolia-api-key": "algolia-key", "alibaba-access-key-id": "alibaba-access-key", "artifactory-api-key": "artifactory-token",
		"artifactory-reference-token": "artifactory-token", "authress-service-client-access-key": "authress-key", "aws-access-token": "aws-access-key-id",
		"aws-amazon-bedrock-api-key-long-lived": "aws-bedrock-api-key", "aws-amazon-bedrock-api-key-short-lived": "aws-bedrock-api-key", "azure-ad-client-secret": "azure-client-secret",
		"beamer-api-token": "beamer-token", "bitbucket-client-id": "bitbucket-token", "bitbucket-client-secret": "bitbucket-token", "bittrex-access-key": "bittrex-secret",
		"bittrex-secret-key": "bittrex-secret", "cisco-meraki-api-key": "meraki-key", "clickhouse-cloud-api-secret-key": "clickhouse-cloud-key", "clojars-api-token": "clojars-token",
		"cloudflare-api-key": "cloudflare-token", "cloudflare-global-api-key": "cloudflare-token", "codecov-access-token": "codecov-token", "cohere-api-token": "cohere-key",
		"coinbase-access-token": "coinbase-secret", "confluent-access-token": "generic-secret", "confluent-secret-key": "confluent-cloud-secret",
		"contentful-delivery-api-token": "contentful-delivery-token", "curl-auth-header": "authorization-header", "curl-auth-user": "command-password", "databricks-api-token": "databricks-token",
		"datadog-access-token": "datadog-key", "defined-networking-api-token": "defined-networking-token", "digitalocean-access-token": "digitalocean-token", "digitalocean-pat": "digitalocean-token",
		"digitalocean-refresh-token": "digitalocean-token", "discord-api-token": "discord-bot-token", "doppler-api-token": "doppler-token", "droneci-access-token": "drone-token",
		"dropbox-api-token": "dropbox-secret", "dropbox-long-lived-api-token": "generic-secret", "dropbox-short-lived-api-token": "dropbox-token", "duffel-api-token": "duffel-token",
		"dynatrace-api-token": "dynatrace-token", "easypost-api-token": "easypost-key", "easypost-test-api-token": "easypost-key", "etsy-access-token": "etsy-key",
		"facebook-access-token": "facebook-secret", "facebook-page-access-token": "facebook-token", "fastly-api-token": "fastly-token", "finicity-api-token": "finicity-secret",
		"finicity-client-secret": "finicity-secret", "finnhub-access-token": "finnhub-key", "flickr-access-token": "flickr-secret", "flutterwave-secret-key": "flutterwave-key",
		"flyio-access-token": "flyio-token", "frameio-api-token": "frameio-token", "freemius-secret-key": "freemius-key", "freshbooks-access-token": "freshbooks-secret", "gcp-api-key": "google-api-key",
		"generic-api-key": "generic-secret", "github-oauth": "github-app-token", "github-refresh-token": "github-app-token", "gitlab-cicd-job-token": "gitlab-token", "gitlab-deploy-token": "gitlab-token",
		"gitlab-feature-flag-client-token": "gitlab-feature-flag-token", "gitlab-feed-token": "gitlab-token", "gitlab-incoming-mail-token": "gitlab-token", "gitlab-kubernetes-agent-token": "gitlab-token",
		"gitlab-pat": "gitlab-token", "gitlab-pat-routable": "gitlab-token", "gitlab-ptt": "gitlab-token", "gitlab-rrt": "gitlab-registration-token", "gitlab-runner-authentication-token": "gitlab-token",
		"gitlab-runner-authentication-token-routable": "gitlab-token", "gitlab-scim-token": "gitlab-token", "gitlab-session-cookie": "gitlab-session", "gitter-access-token": "gitter-token",
		"gocardless-api-token": "gocardless-token", "grafana-api-key": "grafana-legacy-key", "grafana-cloud-api-token": "grafana-cloud-token", "grafana-service-account-token": "grafana-token",
		"harness-api-key": "harness-key", "hashicorp-tf-api-token": "terraform-token", "hashicorp-tf-password": "password", "heroku-api-key-v2": "heroku-api-key", "hubspot-api-key": "hubspot-token",
		"huggingface-access-token": "huggingface-token", "huggingface-organization-api-token": "huggingface-token", "infracost-api-token": "infracost-key", "intercom-api-key": "intercom-token",
		"intra42-client-secret": "intra42-secret", "jfrog-api-key": "jfrog-key", "jfrog-identity-token": "jfrog-key", "jwt-base64": "jwt", "kraken-access-token": "kraken-key",
		"kubernetes-secret-yaml": "kubernetes-secret", "kucoin-access-token": "kucoin-secret", "kucoin-secret-key": "kucoin-secret", "launchdarkly-access-token": "launchdarkly-key",
		"linear-api-key": "linear-key", "linear-client-secret": "linear-key", "linkedin-client-secret": "linkedin-secret", "lob-api-key": "lob-key", "lob-pub-api-key": "lob-key",
		"looker-client-secret": "looker-secret", "mailchimp-api-key": "mailchimp-key", "mailgun-private-api-token": "mailgun-key", "mailgun-pub-key": "mailgun-key", "mailgun-signing-key": "mailgun-key",
		"mapbox-api-token": "mapbox-secret-token", "mattermost-access-token": "mattermost-token", "messagebird-api-token": "messagebird-key", "microsoft-teams-webhook": "teams-webhook",
		"netlify-access-token": "netlify-legacy-token", "new-relic-browser-api-token": "newrelic-browser-key", "new-relic-insert-key": "newrelic-key", "new-relic-user-api-id": "newrelic-license-key",
		"new-relic-user-api-key": "newrelic-key", "notion-api-token": "notion-token", "npm-access-token": "npm-token", "nuget-config-password": "password", "nytimes-access-token": "nytimes-key",
		"octopus-deploy-api-key": "octopus-key", "okta-access-token": "okta-token", "openai-api-key": "openai-key", "openshift-user-token": "openshift-token", "perplexity-api-key": "perplexity-key",
		"plaid-api-token": "plaid-token", "plaid-secret-key": "plaid-secret", "planetscale-api-token": "planetscale-token", "planetscale-oauth-token": "planetscale-token",
		"planetscale-password": "planetscale-token", "postman-api-token": "postman-key", "prefect-api-token": "prefect-key", "privateai-api-token": "privateai-key", "pulumi-api-token": "pulumi-token",
		"pypi-upload-token": "pypi-token", "rapidapi-access-token": "rapidapi-key", "readme-api-token": "readme-key", "rubygems-api-token": "rubygems-token", "scalingo-api-token": "scalingo-token",
		"sendbird-access-token": "sendbird-token", "sendgrid-api-token": "sendgrid-key", "sendinblue-api-token": "brevo-key", "sentry-access-token": "sentry-legacy-token",
		"sentry-org-token": "sentry-token", "sentry-user-token": "sentry-token", "settlemint-application-access-token": "settlemint-token", "settlemint-personal-access-token": "settlemint-token",
		"settlemint-service-access-token": "settlemint-token", "shippo-api-token": "shippo-token", "shopify-access-token": "shopify-token", "shopify-custom-access-token": "shopify-token",
		"shopify-private-app-access-token": "shopify-token", "shopify-shared-secret": "shopify-token", "sidekiq-secret": "sidekiq-license", "sidekiq-sensitive-url": "sidekiq-license",
		"slack-bot-token": "slack-token", "slack-config-access-token": "slack-app-token", "slack-config-refresh-token": "slack-app-token", "slack-legacy-bot-token": "slack-token",
		"slack-legacy-token": "slack-token", "slack-legacy-workspace-token": "slack-token", "slack-user-token": "slack-token", "slack-webhook-url": "slack-webhook", "snyk-api-token": "snyk-token",
		"sonar-api-token": "sonarqube-token", "sourcegraph-access-token": "sourcegraph-token", "squarespace-access-token": "squarespace-key", "stripe-access-token": "stripe-key",
		"sumologic-access-token": "sumologic-access-key", "telegram-bot-api-token": "telegram-bot-token", "travisci-access-token": "travis-token", "twitch-api-token": "twitch-secret",
		"twitter-access-secret": "twitter-key", "twitter-access-token": "twitter-key", "twitter-api-key": "twitter-key", "twitter-api-secret": "twitter-key", "twitter-bearer-token": "x-bearer-token",
		"typeform-api-token": "typeform-token", "vault-batch-token": "vault-token", "vault-service-token": "vault-token", "yandex-access-token": "yandex-token", "yandex-aws-access-token": "yandex-aws-key",
		"zendesk-secret-key": "zendesk-token",
	}
}

// ownName is our name for a rule of gitleaks, or the name as it is.
func ownName(id string) string {
	if own, ok := ownNames()[id]; ok {
		return own
	}
	return id
}
