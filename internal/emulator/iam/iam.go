// Package iam is Twilio IAM as the emulator has it, and what the 2010 API has of
// the account and its keys: keys, the account, and whether a Flex token is good.
// How Flex tokens are made belongs to package flexapi, and who may do what to
// package emulator.
package iam

import (
	_ "embed"

	"github.com/flexvc/flexvc/internal/emulator"
)

//go:embed unemulated.txt
var unemulated string

// Product registers IAM, and the account and the keys of the 2010 API, with an
// emulator.
func Product() emulator.Product {
	return emulator.Product{Host: "iam", Operations: operations, Known: unemulated, Unknowns: unknowns}
}

func operations() []emulator.Operation {
	const keys = "/2010-04-01/Accounts/{AccountSid}/Keys"
	return []emulator.Operation{
		{
			Method: "POST", Path: "/v1/Accounts/{AccountSid}/Tokens/validate", ID: "ValidateToken", JSON: true,
			Note:  "undocumented at Twilio; four ways to refuse a token by a switch",
			Serve: validateToken,
		},
		{
			Method: "GET", Path: "/v1/Keys", ID: "ListGetKeys", Spec: true, Query: []string{"AccountSid"}, Paged: true, Guard: emulator.GuardAdmin,
			Note:  "AccountSid is required",
			Serve: emulator.List("keys", listKeys, viewKeyRow),
		},
		{
			Method: "POST", Path: "/v1/Keys", ID: "CreateNewKey", Spec: true, Form: []string{"AccountSid", "FriendlyName", "KeyType", "Policy"}, Guard: emulator.GuardAdmin,
			Note:  "Standard, or Restricted with a policy; Main keys are made in the Console only",
			Serve: createKey,
		},
		{
			Method: "GET", Path: "/v1/Keys/{Sid}", ID: "FetchKey", Spec: true, Guard: emulator.GuardAdmin,
			Serve: emulator.Fetch(keyInPath, viewKey),
		},
		{
			Method: "POST", Path: "/v1/Keys/{Sid}", ID: "UpdateKey", Spec: true, Form: []string{"FriendlyName", "Policy"}, Guard: emulator.GuardAdmin,
			Note:  "a policy for restricted keys only",
			Serve: emulator.Update(keyTable, keyInPath, updateKey, viewKey),
		},
		{
			Method: "DELETE", Path: "/v1/Keys/{Sid}", ID: "DeleteKey", Spec: true, Guard: emulator.GuardAdmin,
			Serve: deleteKey,
		},
		{Method: "POST", Path: "/v1/Accounts/{AccountSid}/Tokens/refresh", ID: "RefreshToken"},

		{
			Product: "api", Method: "GET", Path: "/2010-04-01/Accounts/{AccountSid}.json", ID: "FetchAccount", Guard: emulator.GuardAdmin,
			Note:  "the one emulated account",
			Serve: fetchAccount,
		},
		{
			Product: "api", Method: "GET", Path: keys + ".json", ID: "ListKey", Paged: true, Guard: emulator.GuardAdmin,
			Note:  "pages are linked by relative URIs, as in that API",
			Serve: emulator.List2010("keys", listKeys2010, viewKey2010),
		},
		{
			Product: "api", Method: "POST", Path: keys + ".json", ID: "CreateNewKey", Form: []string{"FriendlyName"}, Guard: emulator.GuardAdmin,
			Note:  "Standard keys only",
			Serve: createKey2010,
		},
		{
			Product: "api", Method: "GET", Path: keys + "/{Sid}.json", ID: "FetchKey", Guard: emulator.GuardAdmin,
			Serve: emulator.Fetch(keyInPath, viewKey2010),
		},
		{
			Product: "api", Method: "POST", Path: keys + "/{Sid}.json", ID: "UpdateKey", Form: []string{"FriendlyName"}, Guard: emulator.GuardAdmin,
			Serve: emulator.Update(keyTable, keyInPath, rename, viewKey2010),
		},
		{
			Product: "api", Method: "DELETE", Path: keys + "/{Sid}.json", ID: "DeleteKey", Guard: emulator.GuardAdmin,
			Serve: deleteKey,
		},
		{
			Product: "api", Method: "GET", Path: "/2010-04-01/Accounts.json", ID: "ListAccount",
		},
	}
}
