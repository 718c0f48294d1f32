// The SDK sets globals; see types/globals.d.ts.
export {};
